import { sql } from "drizzle-orm";
import pg from "pg";
import { expect, it, vi } from "vitest";
import { lockAccount } from "../../src/fleet/account-limits.ts";
import { forgetAccounts } from "../../src/fleet/forget-accounts.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aWorker } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const named = async () => {
  const accounts: { id: string }[] = (await api.get("/api/runtime/accounts").expect(200)).body;
  return accounts.map(({ id }) => id);
};

it("forgets the names that a worker has invented, one after the other, and keeps the one that it has", async () => {
  for (let n = 0; n < 20; n++) await aWorker(db, { name: "inventive", account: `invented-${n}` });
  expect(await query("select from runtime_accounts")).toHaveLength(20);
  expect(await forgetAccounts(db)).toBe(19);
  expect(await named()).toEqual(["invented-19"]);
  await api.delete("/api/runtime/workers/inventive").expect(200);
  expect(await forgetAccounts(db)).toBe(1);
  expect(await named()).toEqual([]);
});

it("keeps what would matter to a worker that comes back, as long as it lasts", async () => {
  const ago = (ms: number) => sql`(extract(epoch from now()) * 1000)::bigint - ${ms}::bigint`;
  const known = async (id: string, restsMs: number, windowMs: number, updatedMs = 0, pacedMs?: number) => {
    const end = (ms: number) => Date.now() + ms;
    const rest = restsMs === 0 ? null : JSON.stringify({ kind: "rate_limited", reason: "", until: end(restsMs) });
    const windows = windowMs === 0 ? "{}" : JSON.stringify({ "5h": { used: 0.5, resets_at: end(windowMs) } });
    const pacedUntil = pacedMs === undefined ? null : end(pacedMs);
    await db.execute(sql`insert into runtime_accounts (id, rest, windows, paced_until, updated_at)
      values (${id}, ${rest}::jsonb, ${windows}::jsonb, ${pacedUntil}, ${ago(updatedMs)})`);
  };
  await known("rests", HOUR_MS, 0);
  await known("rested", -HOUR_MS, 0);
  await known("has a window", 0, HOUR_MS);
  await known("had a window", 0, -HOUR_MS);
  await known("has a window for ever", 0, 1_000 * DAY_MS, 9 * DAY_MS);
  await known("is paced", 0, 0, 0, HOUR_MS);
  await known("was paced", 0, 0, 0, -HOUR_MS);
  await known("used", -HOUR_MS, -HOUR_MS);
  await aWorker(db, { name: "worker", account: "used" });
  expect(await forgetAccounts(db)).toBe(4);
  expect(await named()).toEqual(["has a window", "is paced", "rests", "used"]);
});

it("keeps the account that a registration has locked, whichever of its statements it is at", async () => {
  await query("insert into runtime_accounts (id, updated_at) values ('comes back', 1)");
  const ask = pg.Client.prototype.query as (...args: unknown[]) => Promise<unknown>;
  const spy = vi.spyOn(pg.Client.prototype, "query") as unknown as {
    mockImplementation(ask: (this: pg.Client, ...args: unknown[]) => Promise<unknown>): void;
    mockRestore(): void;
  };
  spy.mockImplementation(async function (...args) {
    const answer = await ask.apply(this, args);
    if (JSON.stringify(args[0]).includes("insert into")) await forgetAccounts(db);
    return answer;
  });
  await holdTransaction(db, (tx) => lockAccount(tx, "comes back")).finally(() => spy.mockRestore());
  expect(await query("select id, updated_at from runtime_accounts where id = 'comes back'")).toEqual([
    { id: "comes back", updated_at: "1" },
  ]);
  expect(await query("select from runtime_accounts where id = 'comes back' for no key update skip locked")).toEqual([]);
});
