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
 * queued -> leased, as the CTEs `granted` (the leases), `moved` (the tasks), `last` (whose context is the worker's warm one then) and `entries`. `picked` is the CTE of what is granted: `task_id`,
 * `context_id`, `policy`, and the ids `lease_id` and `entry_id` to give; its tasks must be locked and queued. `worker` is the CTE of the
 * locked worker, which must be allowed to have them. `ttlSeconds` null: as long as each task needs.
 */
export function grant({ ttlSeconds, actor }: { ttlSeconds: SQL; actor: SQL }): SQL {
  const needed = sql.raw(
    `greatest(${DEFAULT_TTL_SECONDS}, ceil((picked.policy ->> 'timeout_sec')::numeric)::int + ${TTL_MARGIN_SECONDS})`,
  );
  return sql`timed as (
      select picked.*, worker.id as worker_id, coalesce(${ttlSeconds}::int, ${needed}) as ttl_seconds from picked, worker
    ), granted as (
      insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
      select lease_id, task_id, worker_id, ${nowMs}, ${nowMs} + ttl_seconds * 1000::bigint, ttl_seconds, 'active', ${nowMs}, context_id
      from timed
      returning *
    ), moved as (
      update llm_tasks t
      set status = 'leased', lease_id = granted.id, worker_id = granted.worker_id, attempts = t.attempts + 1, progress = null, updated_at = ${nowMs}
      from granted
      where t.id = granted.task_id and (t.status = 'queued') is true
      returning t.*
    ), last as (
      select worker_id, context_id from granted order by id desc limit 1
    ), entries as (
      insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select picked.entry_id, ${nowMs}, 'task_leased', 'lease', granted.id, ${actor},
        'Task ' || granted.task_id || ' leased to worker ' || granted.worker_id || ', TTL ' || granted.ttl_seconds || 's'
      from granted join picked on picked.lease_id = granted.id
    )`;
}
