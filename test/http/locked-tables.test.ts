/** A table that somebody has locked against reading, for longer than a statement may take. */
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { analyzeGrownTables } from "../../src/db/analyze-grown-tables.ts";
import { openDatabase } from "../../src/db/client.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, url, query } = await createTestDatabase();

/** As many connections as a service has by itself. */
const POOL_MAX = 6;
/** As many reads as may wait for the same table: one connection is left to other reads, and one to changes. */
const MOST_READS = POOL_MAX - 2;
const { db: small, close } = openDatabase({ url, poolMax: POOL_MAX }, pino({ level: "silent" }));
afterAll(close);
const { api } = await startApp(small);

/** Lists, and the tables that each of them reads while there is nothing in it. */
const LISTS: Record<string, string[]> = {
  "llm-tasks": ["llm_tasks"],
  leases: ["leases"],
  workers: ["workers"],
  accounts: ["runtime_accounts", "workers", "leases"],
  artifacts: ["runtime_artifacts", "llm_results", "llm_tasks"],
  audit: ["audit_logs"],
  usage: ["runtime_usage", "runtime_new_usage"],
  keys: ["runtime_api_keys"],
  webhooks: ["runtime_webhooks"],
  config: ["runtime_settings"],
};
const read = async (list: string) => (await api.get(`/api/runtime/${list}`)).status;

const locked = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";

it.each([...new Set(Object.values(LISTS).flat())])(
  "%s leaves a connection to the reads of all others",
  { timeout: 60_000 },
  async (table) => {
    onTestFinished(() => eventually(async () => expect(await query(locked)).toEqual([])));
    const unlock = await holdTransaction(db, `lock table ${table} in access exclusive mode`);
    const [waiting, others] = [true, false].map((isIt) =>
      Object.keys(LISTS).filter((list) => LISTS[list]?.includes(table) === isIt),
    ) as [string[], string[]];
    const answered: unknown[] = [];
    const reads = Array.from({ length: 12 }, () => waiting)
      .flat()
      .map(async (list) => {
        const status = await read(list);
        answered.push([list, status]);
        return status;
      });
    await eventually(async () => expect((await query(locked)).length).toBeGreaterThanOrEqual(MOST_READS));
    for (const list of others) expect([list, await read(list)]).toEqual([list, 200]);
    expect((await query(locked)).length).toBe(MOST_READS);
    // Nothing that waits was given up meanwhile, which would have made room.
    expect(answered).toEqual([]);
    await unlock();
    expect(new Set(await Promise.all(reads))).toEqual(new Set([200]));
  },
);

it("leaves a connection to changes of other tables, and to the look at the sizes of others", {
  timeout: 60_000,
}, async () => {
  const unlock = await holdTransaction(db, "lock table runtime_usage in access exclusive mode");
  const reads = Array.from({ length: 12 }, () => read("usage"));
  await eventually(async () => expect((await query(locked)).length).toBeGreaterThanOrEqual(MOST_READS));
  for (let n = 0; n < 3; n++) await small.execute(sql`update workers set id = id where false`);
  await analyzeGrownTables(small);
  expect((await query(locked)).length).toBe(MOST_READS);
  await unlock();
  expect(new Set(await Promise.all(reads))).toEqual(new Set([200]));
});

it("is left out by the look at the sizes of tables, which waits for none", async () => {
  await query(
    "insert into audit_logs select gen_random_uuid(), n, 'a', 'e', 'i', 'b', repeat('d', 200) from generate_series(1, 1000) n",
  );
  await holdTransaction(db, "lock table audit_logs in access exclusive mode");
  expect(await analyzeGrownTables(small)).not.toContain("audit_logs");
});

it("that holds the counts of a shared limit lets each instance count by itself, on the connections of counts", {
  timeout: 60_000,
}, async () => {
  const { api: limited } = await startApp(small, { env: { RATE_LIMIT_SHARED: "true", RATE_LIMIT_PER_MINUTE: "100" } });
  await holdTransaction(db, "lock table runtime_rate_counts in access exclusive mode");
  let most = 0;
  const calls = Array.from({ length: 12 }, async () => (await limited.get("/api/runtime/llm-tasks")).status);
  await eventually(async () => {
    most = Math.max(most, (await query(locked)).length);
    expect(most).toBe(2);
  });
  // A statement that waited for its whole time would be given up after 8 s.
  for (const list of Object.keys(LISTS)) expect([list, await read(list)]).toEqual([list, 200]);
  expect((await query(locked)).length).toBeLessThanOrEqual(2);
  expect(new Set(await Promise.all(calls))).toEqual(new Set([200]));
});

it("that takes no changes lets calls through with their keys, whose use is recorded later", {
  timeout: 60_000,
}, async () => {
  const { api: keyed } = await startApp(small, { env: { RUNTIME_API_KEY: "a key of the runtime" } });
  const key = await createKey(db, undefined, "late", "read");
  const unlock = await holdTransaction(db, "lock table runtime_api_keys in share mode");
  const call = async () => (await keyed.get("/api/runtime/llm-tasks").set("X-Runtime-API-Key", key)).status;
  expect(new Set(await Promise.all(Array.from({ length: 6 }, call)))).toEqual(new Set([200]));
  const used = () => query("select from runtime_api_keys where name = 'late' and last_used_at is not null");
  expect(await used()).toEqual([]);
  await unlock();
  expect(await call()).toBe(200);
  expect((await used()).length).toBe(1);
});
