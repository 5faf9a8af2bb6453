import { getTableName, sql } from "drizzle-orm";
import { auditLogs } from "./audit-table.ts";
import type { Db } from "./client.ts";
import { workers } from "./fleet-tables.ts";
import { LOCKED_RELATIONS } from "./last-connection-for-reads.ts";
import { llmResults, outputChunks, runtimeArtifacts, stagedOutputs } from "./output-tables.ts";
import { leases, llmTasks } from "./task-tables.ts";

const GROWING = [llmTasks, leases, workers, auditLogs, llmResults, runtimeArtifacts, outputChunks, stagedOutputs].map(
  getTableName,
);
/** A table has grown when it has more than `GROWN_TIMES` the pages of the last count of its rows, plus `GROWN_PAGES`. */
const GROWN_TIMES = 2;
const GROWN_PAGES = 8;

/**
 * A table's size waits for whoever has the table locked. So locked tables are left for the next pass; the sizes are those of our tables only, where
 * that of `pg_class.oid` was taken of all tables of the database; and the text names our tables, so that the pool knows what it may wait for.
 */
const FIND_GROWN = sql`
  with locked as materialized (${sql.raw(LOCKED_RELATIONS)}) select name from (values ${sql.raw(GROWING.map((name) => `('${name}')`).join(", "))}) as growing (name)
    join pg_class on pg_class.oid = to_regclass(name)
  where case when to_regclass(name)::oid in (select relation from locked) then false
    else pg_relation_size(to_regclass(name)) / current_setting('block_size')::int > ${GROWN_TIMES} * greatest(relpages, 0) + ${GROWN_PAGES} end`;

/**
 * Counts the rows of our tables that have grown to twice their size, and gives the names of these tables: every prepared statement on them is then
 * planned anew, on every connection. PostgreSQL does so by itself after up to a minute, in which a plan that reads a small table whole goes on
 * reading one of 60,000 rows. Twenty counts take a table to a million rows. `set enable_seqscan = off` is no way out: through PgBouncer it would
 * change other clients' sessions.
 */
export async function analyzeGrownTables(db: Db): Promise<string[]> {
  const { rows } = await db.execute<{ name: string }>(FIND_GROWN);
  // Another instance, or the server itself, may be counting the same table.
  for (const { name } of rows) await db.execute(sql.raw(`analyze (skip_locked) ${name}`));
  return rows.map(({ name }) => name);
}
