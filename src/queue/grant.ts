import { type SQL, sql } from "drizzle-orm";
import type { Lease, Task } from "../contract/views.ts";

/** A lease lives 300 s, or as long as the task may run and a margin where that is longer: today's agents heartbeat once (invariant 10). */
const DEFAULT_TTL_SECONDS = 300;
const TTL_MARGIN_SECONDS = 30;

export interface Granted {
  task: Task;
  lease: Lease;
}

/** The CTE column `ttl_seconds` of a lease for a task with the column `policy`; `given` null: as long as the task needs. */
export function ttlFor(given: SQL): SQL {
  return sql`coalesce(${given}::int, ${NEEDED_SECONDS}) as ttl_seconds`;
}
const NEEDED_SECONDS = sql.raw(
  `greatest(${DEFAULT_TTL_SECONDS}, ceil((policy ->> 'timeout_sec')::numeric)::int + ${TTL_MARGIN_SECONDS})`,
);

/**
 * queued -> leased, as the CTEs `granted` (the leases), `moved` (the tasks) and `entries`; the first two have rows where `rows` says so.
 * `picked` is the CTE of what is granted: `task_id`, `worker_id`, `context_id`, `now`, `ttl_seconds`, and the ids `lease_id` and `entry_id` to
 * give. Its tasks must be locked and queued, and its worker locked and allowed to have them.
 */
export function grantCtes(actor: SQL, rows: "with rows" | "without rows"): SQL {
  const returning = (columns: string) => sql.raw(rows === "with rows" ? `returning ${columns}` : "");
  return sql`granted as (
      insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
      select lease_id, task_id, worker_id, now, now + ttl_seconds * 1000::bigint, ttl_seconds, 'active', now, context_id from picked
      ${returning("*")}
    ), moved as (
      update llm_tasks t
      set status = 'leased', lease_id = picked.lease_id, worker_id = picked.worker_id, attempts = t.attempts + 1, progress = null, updated_at = now
      from picked
      where t.id = picked.task_id and (t.status = 'queued') is true
      ${returning("t.*")}
    ), entries as (
      insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select entry_id, now, 'task_leased', 'lease', lease_id, ${actor},
        'Task ' || task_id || ' leased to worker ' || worker_id || ', TTL ' || ttl_seconds || 's'
      from picked
    )`;
}
