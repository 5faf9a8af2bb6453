import pg from "pg";
import { expect, it, onTestFinished, vi } from "vitest";
import { cancelRunningStatement } from "../../src/db/cancel-running-statement.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, url, query } = await createTestDatabase();
await query("create table things (id integer)");

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}
const waiting = () =>
  query("select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");

it("cancels a statement that comes to the server after the first request to cancel it", async () => {
  await holdTransaction(db, "lock table things");
  const client = await connect();
  client.connection.stream.cork();
  const statement = expect(client.query("select from things")).rejects.toMatchObject({ code: "57014" });
  const requests = vi.spyOn(pg.Connection.prototype, "cancel");
  const cancelled = cancelRunningStatement(client, new AbortController().signal);
  await eventually(() => expect(requests.mock.calls.length).toBeGreaterThan(1));
  client.connection.stream.uncork();
  await Promise.all([statement, cancelled]);
  expect(await waiting()).toEqual([]);
});

it("ends when the statement is over, when its connection is closed, and when nobody wants it any more", async () => {
  const unlock = await holdTransaction(db, "lock table things");
  const [idle, closed, left] = [await connect(), await connect(), await connect()];
  const gone = new AbortController();
  const unanswered = [closed, left].map((client) => client.query("select from things").catch(() => {}));
  await eventually(async () => expect(await waiting()).toHaveLength(2));
  closed.connection.stream.destroy();
  left.connection.stream.pause();
  gone.abort();
  await Promise.all([
    cancelRunningStatement(idle, new AbortController().signal),
    cancelRunningStatement(closed, new AbortController().signal),
    cancelRunningStatement(left, gone.signal),
  ]);
  left.connection.stream.destroy();
  await unlock();
  await Promise.all(unanswered);
});
