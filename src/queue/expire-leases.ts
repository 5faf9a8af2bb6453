import { type SQL, sql } from "drizzle-orm";
import { insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import type { TaskStatus } from "../db/statuses.ts";
import { leases } from "../db/task-tables.ts";
import { taskIsHeld } from "./fence.ts";
import { tellQueueNews } from "./queue-news.ts";
import { type TracedAttempt, traceAttempt } from "./trace-attempt.ts";

/** How many leases ended, and where their tasks went. */
export interface Expired {
  expired: number;
  requeued: number;
  dead: number;
  cancelled: number;
}

export const NONE_EXPIRED: Expired = { expired: 0, requeued: 0, dead: 0, cancelled: 0 };

/** In SQL, the attempts that ended, each as a `TracedAttempt`, for the traces of their tasks. */
const ATTEMPTS = sql`json_agg(json_build_object(
  'task', json_build_object('id', moved.id, 'agent_slug', agent_slug, 'traceparent', traceparent), 'leaseId', ended.id, 'workerId', worker_id,
  'startedAt', started_at, 'endedAt', updated_at, 'outcome', status, 'isFault', true)) filter (where traceparent is not null)`;

/**
 * Ends the active leases of `taskIds` that match `which`. Each lease becomes `expired`; its task becomes queued while it has attempts left, else
 * dead, or cancelled where that was asked for. `reason` goes into the audit and the task's `last_error`. `tx` must hold the locks of these
 * tasks. A lease that was renewed or ended before the locks were taken does not match any more, and stays as it is.
 */
export async function expireLeases(tx: Db, taskIds: string[], which: SQL, reason: string): Promise<Expired> {
  if (taskIds.length === 0) return NONE_EXPIRED;
  const next = sql`case when t.cancel_requested then 'cancelled' when t.attempts < t.max_attempts then 'queued' else 'dead' end`;
  // The audit gets an entry for each lease and for each task.
  const entryIds = Array.from({ length: 2 * taskIds.length }, newId);
  const entry = {
    id: sql`(${sql.param(entryIds)}::uuid[])[row_number() over ()]`,
    timestamp: nowMs,
    action: sql`action`,
    entity_type: sql`entity_type`,
    entity_id: sql`id`,
    actor: sql`'runtime'`,
    detail: sql`detail || ${reason}::text`,
  };
  const { rows } = await tx.execute<{ status: TaskStatus | null; count: number; attempts: TracedAttempt[] | null }>(sql`
    with ended as (
      update ${leases} set status = 'expired'
      where ${leases.task_id} = any(${sql.param(taskIds)}::uuid[]) and ${leases.status} = 'active' and ${which}
      returning id, task_id, worker_id, started_at
    ), moved as (
      update llm_tasks t set status = ${next}, updated_at = ${nowMs},
        tried_by = case when t.allow_fallback then ended.worker_id else coalesce(t.tried_by, ended.worker_id) end, elsewhere_until = null,
        error_kind = null, last_error = 'The lease of worker ' || ended.worker_id || ' ended: ' || ${reason}::text,
        lease_id = case when ${next} = 'queued' then null else t.lease_id end,
        worker_id = case when ${next} = 'queued' then null else t.worker_id end
      from ended
      where t.id = ended.task_id and t.lease_id = ended.id and ${taskIsHeld}
      returning t.id, t.status, t.attempts, t.max_attempts, t.agent_slug, t.traceparent, t.updated_at
    ), facts as (
      select 'lease_expired' as action, 'lease' as entity_type, id, 'Lease of task ' || task_id || ' to worker ' || worker_id || ' ended: ' as detail
      from ended
      union all
      select case status when 'queued' then 'task_requeued' else 'task_' || status end, 'llm_task', id,
        'Attempt ' || attempts || ' of ' || max_attempts || ' ended without a result: '
      from moved
    ), entries as (
      ${insertAudit(entry, sql`facts`)}
    )
    select null as status, count(*)::int, null::json as attempts from ended
    union all select status, count(*)::int, ${tx.tracer ? ATTEMPTS : sql`null`} from moved join ended on ended.task_id = moved.id group by status`);
  const count = (status: TaskStatus | null) => rows.find((row) => row.status === status)?.count ?? 0;
  const ended = { expired: count(null), requeued: count("queued"), dead: count("dead"), cancelled: count("cancelled") };
  if (ended.expired > 0) tellQueueNews(tx);
  for (const attempt of rows.flatMap(({ attempts }) => attempts ?? [])) traceAttempt(tx, attempt);
  tx.onCommit(() => {
    const { leasesExpired, tasksRequeued, tasksDead } = tx.meters;
    leasesExpired.add(ended.expired);
    tasksRequeued.add(ended.requeued, { cause: "lease expired" });
    tasksDead.add(ended.dead, { cause: "lease expired" });
  });
  return ended;
}
