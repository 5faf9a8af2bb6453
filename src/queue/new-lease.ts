import { type SQL, sql } from "drizzle-orm";
import { LEASE_FIELDS, TASK_FIELDS } from "../contract/record-types.ts";
import { type EntryInSql, insertAudit } from "../db/audit.ts";
import { columnsOf } from "../db/column-lists.ts";

/**
 * A lease lives 300 s, or as long as its task may run plus a margin where that is longer, since agents may heartbeat only once
 * (lifecycle.md, invariant 10).
 */
const DEFAULT_TTL_SECONDS = 300;
const TTL_MARGIN_SECONDS = 30;
/** How many heartbeats fit into a lease's time: a worker that misses two of them still holds its lease. */
export const BEATS_PER_TTL = 3;

/** The CTE column `ttl_seconds` of a lease for a task with the column `policy`: `wanted` seconds, or what the task needs where that is null. */
export function ttlSecondsColumn(wanted: SQL): SQL {
  return sql`coalesce(${wanted}::int, ${NEEDED_SECONDS}) as ttl_seconds`;
}
const NEEDED_SECONDS = sql.raw(
  `greatest(${DEFAULT_TTL_SECONDS}, ceil((policy ->> 'timeout_sec')::numeric)::int + ${TTL_MARGIN_SECONDS})`,
);

/**
 * The transition queued -> leased, as the CTEs `new_leases`, `leased_tasks` and `entries`; the first two return rows where `rows` says so.
 * They read a CTE `picked`, which has a row for each task to lease: `task_id`, `worker_id`, `context_id`, `now`, `ttl_seconds`, and the new ids
 * `lease_id` and `entry_id`. Its tasks must be locked and queued, and its worker locked and allowed to get them.
 */
export function newLeaseCtes(actor: SQL, rows: "with rows" | "without rows"): SQL {
  const returning = (names: readonly string[], row?: string) =>
    rows === "with rows" ? sql`returning ${columnsOf(names, row)}` : sql``;
  const entry: EntryInSql = {
    id: sql`entry_id`,
    timestamp: sql`now`,
    action: "task_leased",
    entity_type: sql`'lease'`,
    entity_id: sql`lease_id`,
    actor,
    detail: sql`'Task ' || task_id || ' leased to worker ' || worker_id || ', TTL ' || ttl_seconds || 's'`,
  };
  return sql`new_leases as (
      insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
      select lease_id, task_id, worker_id, now, now + ttl_seconds * 1000::bigint, ttl_seconds, 'active', now, context_id from picked
      ${returning(LEASE_FIELDS)}
    ), leased_tasks as (
      update llm_tasks t
      set status = 'leased', lease_id = picked.lease_id, worker_id = picked.worker_id, attempts = t.attempts + 1, progress = null, updated_at = now
      from picked
      where t.id = picked.task_id and (t.status = 'queued') is true
      ${returning(TASK_FIELDS, "t")}
    ), entries as (
      ${insertAudit(entry, sql`picked`)}
    )`;
}
