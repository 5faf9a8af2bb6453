import { getTableName, sql } from "drizzle-orm";
import { auditLogs } from "./audit-table.ts";
import type { Db } from "./client.ts";
import { workers } from "./fleet-tables.ts";
import { llmResults, outputChunks, runtimeArtifacts, stagedOutputs } from "./output-tables.ts";
import { leases, llmTasks } from "./task-tables.ts";

const GROWING = [llmTasks, leases, workers, auditLogs, llmResults, runtimeArtifacts, outputChunks, stagedOutputs].map(
  getTableName,
);
/** A table has grown when it has more than `GROWN_TIMES` the pages of the last count of its rows, plus `GROWN_PAGES`. */
const GROWN_TIMES = 2;
const GROWN_PAGES = 8;

/**
 * Counts the rows of our tables that have grown to twice their size, and gives the names of these tables: every prepared statement on them is then
 * planned anew, on every connection. PostgreSQL does so by itself after up to a minute, in which a plan that reads a small table whole goes on
 * reading one of 60,000 rows. Twenty counts take a table to a million rows. `set enable_seqscan = off` is no way out: through PgBouncer it would
 * change other clients' sessions.
 */
export async function analyzeGrownTables(db: Db): Promise<string[]> {
  const { rows } = await db.execute<{ name: string }>(sql`
    select name from unnest(${sql.param(GROWING)}::text[]) as name join pg_class on pg_class.oid = to_regclass(name)
    where pg_relation_size(pg_class.oid) / current_setting('block_size')::int > ${GROWN_TIMES} * greatest(relpages, 0) + ${GROWN_PAGES}`);
  // Another instance, or the server itself, may be counting the same table.
  for (const { name } of rows) await db.execute(sql.raw(`analyze (skip_locked) ${name}`));
  return rows.map(({ name }) => name);
}
