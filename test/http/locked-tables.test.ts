/** A table that somebody has locked against reading, for longer than a statement may take. */
import { pino } from "pino";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, url, query } = await createTestDatabase();

/** As many connections as a service has by itself. */
const POOL_MAX = 6;
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
    await eventually(async () => expect((await query(locked)).length).toBeGreaterThanOrEqual(POOL_MAX - 1));
    for (const list of others) expect([list, await read(list)]).toEqual([list, 200]);
    expect((await query(locked)).length).toBe(POOL_MAX - 1);
    // Nothing that waits was given up meanwhile, which would have made room.
    expect(answered).toEqual([]);
    await unlock();
    expect(new Set(await Promise.all(reads))).toEqual(new Set([200]));
  },
);
