import { type SQL, sql } from "drizzle-orm";
import type { Lease, Task } from "../contract/views.ts";
import { nowMs } from "../db/clock.ts";

/** A lease lives 300 s, or as long as the task may run and a margin where that is longer: today's agents heartbeat once (invariant 10). */
const DEFAULT_TTL_SECONDS = 300;
const TTL_MARGIN_SECONDS = 30;

export interface Granted {
  task: Task;
  lease: Lease;
}

/**
 * queued -> leased, as the CTEs `granted` (the leases), `moved` (the tasks) and `entries`. `picked` is the CTE of what is granted: `task_id`,
 * `context_id`, `policy`, and the ids `lease_id` and `entry_id` to give; its tasks must be locked and queued. `worker` is the CTE of the
 * locked worker, which must be allowed to have them. `ttlSeconds` null: as long as each task needs.
 */
export function grant({ ttlSeconds, actor }: { ttlSeconds: SQL; actor: SQL }): SQL {
  const needed = sql.raw(
    `greatest(${DEFAULT_TTL_SECONDS}, ceil((policy ->> 'timeout_sec')::numeric)::int + ${TTL_MARGIN_SECONDS})`,
  );
  return sql`timed as (
      select picked.*, worker.id as worker_id, ${nowMs} as now, coalesce(${ttlSeconds}::int, ${needed}) as ttl_seconds from picked, worker
    ), granted as (
      insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
      select lease_id, task_id, worker_id, now, now + ttl_seconds * 1000::bigint, ttl_seconds, 'active', now, context_id from timed
      returning *
    ), moved as (
      update llm_tasks t
      set status = 'leased', lease_id = timed.lease_id, worker_id = timed.worker_id, attempts = t.attempts + 1, progress = null, updated_at = now
      from timed
      where t.id = timed.task_id and (t.status = 'queued') is true
      returning t.*
    ), entries as (
      insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select entry_id, now, 'task_leased', 'lease', lease_id, ${actor},
        'Task ' || task_id || ' leased to worker ' || worker_id || ', TTL ' || ttl_seconds || 's'
      from timed
    )`;
}
