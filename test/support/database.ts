import { randomUUID } from "node:crypto";
import pg from "pg";
import { pino } from "pino";
import { afterAll, inject } from "vitest";
import { type Db, openDatabase } from "../../src/db/client.ts";
import { databaseErrorOf } from "../../src/db/faults.ts";
import { repeatWhile } from "../../src/db/retry.ts";
import { withDatabase } from "./database-url.ts";

export interface TestDatabase {
  db: Db;
  url: string;
  /** What the pool has logged: nothing, when all is well. */
  logged: unknown[];
  /** SQL on the side of the service, as an operator with psql has it. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Makes every active lease overdue by `ms`, or only those of one task: rows are aged, nobody sleeps. */
  makeOverdue(taskId?: string, ms?: number): Promise<void>;
  /** Milliseconds since 1970, by the database's clock. */
  databaseTime(): Promise<number>;
}

const isDeadlock = (error: unknown) => databaseErrorOf(error)?.code === "40P01";

/** A database of the calling test file's own, dropped when the file is done. `from` is a template: the migrated one, or an empty one. */
export async function createTestDatabase({ from = inject("template") } = {}): Promise<TestDatabase> {
  const name = `bloom_test_${randomUUID().replaceAll("-", "")}`;
  const server = new pg.Pool({ connectionString: inject("serverUrl"), max: 1 });
  await server.query(`create database ${name} template ${from}`);
  const url = withDatabase(inject("serverUrl"), name);
  const logged: unknown[] = [];
  const log = pino({ level: "warn", base: null }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const { db, close } = openDatabase({ url, poolMax: 20 }, log);
  const side = new pg.Pool({ connectionString: url, max: 4 });
  // The database may be dropped before the server has seen the last goodbye: it then ends these connections, which is no fault.
  side.on("error", () => {});
  afterAll(async () => {
    await close();
    await side.end();
    await server.query(`drop database ${name} with (force)`);
    await server.end();
  });
  return {
    db,
    url,
    logged,
    // A truncate of several tables may meet a deadlock with the loops of a running service.
    query: async (text, values) => (await repeatWhile(() => side.query(text, values), isDeadlock)).rows,
    makeOverdue: async (taskId, ms = 1_000) => {
      await side.query(
        `update leases set expires_at = floor(extract(epoch from now()) * 1000) - $2
         where status = 'active' and ($1::uuid is null or task_id = $1)`,
        [taskId ?? null, ms],
      );
    },
    databaseTime: async () => {
      const { rows } = await side.query("select floor(extract(epoch from clock_timestamp()) * 1000) as now");
      return Number(rows[0]?.now);
    },
  };
}
