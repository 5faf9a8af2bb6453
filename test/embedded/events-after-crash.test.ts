import pg from "pg";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { migrateServer } from "../../src/db/given-or-embedded-server.ts";
import { enterEvents, readEvents } from "../../src/events/read-events.ts";
import { workerEntry } from "../support/audit.ts";
import { eventually } from "../support/eventually.ts";
import { postmasterOf, query, start, usedFolder } from "./support.ts";

const log = pino({ level: "silent" });

test("events are told also when PostgreSQL gives them numbers of transactions that a crash has swallowed", async () => {
  const dataDir = await usedFolder();
  const server = await start(dataDir);
  await migrateServer(server, log);
  const { db, close } = openDatabase({ url: server.url, poolMax: 2 }, log);
  onTestFinished(close);
  // Nothing of a rolled back transaction is written to the disk before this time, where no other one waits for its own.
  await query(server.url, "alter system set wal_writer_delay = '10s'");
  await query(server.url, "select pg_reload_conf()");
  await query(server.url, workerEntry("before the crash"));
  const { now } = await enterEvents(db);
  const swallowed = await rolledBack(server.url, 20);
  const { until } = await readEvents(db, now);
  const { now: entered } = await enterEvents(db);

  const killed = postmasterOf(dataDir);
  process.kill(killed, "SIGKILL");
  await eventually(() => expect(postmasterOf(dataDir)).not.toBe(killed));
  await eventually(() => query(server.url, workerEntry("after the crash")));
  expect(await query(server.url, `select max(xid::text::bigint) < ${swallowed} as again from audit_logs`)).toEqual([
    { again: true },
  ]);
  for (const place of [until, entered]) {
    const { events } = await readEvents(db, place);
    expect(events.map(({ event }) => event.entity_id)).toEqual(["after the crash"]);
  }
});

/** Begins so many transactions and rolls them back; gives the number of the last one. */
async function rolledBack(url: string, count: number): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  let last = 0;
  for (let n = 0; n < count; n++) {
    await client.query("begin");
    const { rows } = await client.query<{ xid: number }>("select pg_current_xact_id()::text::int as xid");
    last = rows[0]?.xid ?? 0;
    await client.query("rollback");
  }
  await client.end();
  return last;
}
