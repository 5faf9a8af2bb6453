import { sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import { TASK_FIELDS, type Task } from "../contract/record-types.ts";
import type { ReleaseTask } from "../contract/requests.ts";
import { actionInSql, actorOf, type EntryInSql, insertAudit } from "../db/audit.ts";
import { batchStatement } from "../db/batch-statement.ts";
import { batcher } from "../db/batcher.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf, jsonOf } from "../db/column-lists.ts";
import { isUuid, newId } from "../db/ids.ts";
import { transition } from "../db/statement.ts";
import { HELD_STATUSES } from "../db/statuses.ts";
import {
  findLease,
  HOLDER_TYPES,
  type HolderRequest,
  heldBy,
  leaseIsActive,
  requireStatus,
  staleLease,
  taskIsHeld,
} from "./fence.ts";
import { getTask } from "./get-task.ts";
import { tellQueueNews } from "./queue-news.ts";
import { traceAttempt } from "./trace-attempt.ts";

/** Without `started`, the worker says that it has not begun the task. */
type Release = Omit<ReleaseTask, "started"> & { started?: boolean | undefined };

type HandingBack = HolderRequest & {
  lease_id: string;
  started: boolean;
  actor: string | null;
  detail: string;
  entry_id: string;
  cancelled_entry_id: string;
};

interface HandedBack {
  task: Task;
  worker_id: string;
  started_at: number;
}

const ENTRY: EntryInSql = {
  id: sql`entry.id`,
  timestamp: sql`updated_at`,
  action: sql`entry.action`,
  entity_type: sql`'llm_task'`,
  entity_id: sql`task.id`,
  actor: sql`coalesce(actor, released.worker_id)`,
  detail: sql`entry.detail`,
};
/** The audit entries of a task: it was handed back; and then, where somebody had asked for that, it is cancelled. */
const entries = sql`task join request using (ordinal) join released using (ordinal) cross join lateral (values
        (1, entry_id, ${actionInSql("task_released")}, request.detail),
        (2, cancelled_entry_id, ${actionInSql("task_cancelled")}, 'Cancelled when it was handed back')
      ) as entry(nth, id, action, detail)
      where nth = 1 or task.status = 'cancelled' order by ordinal, nth`;

const releases = batcher(
  batchStatement<HandedBack, HandingBack>(
    "release",
    {
      ...HOLDER_TYPES,
      started: "boolean",
      actor: "text",
      detail: "text",
      entry_id: "uuid",
      cancelled_entry_id: "uuid",
    },
    (...of) => sql`${heldBy(...of, sql`(request.started or (t.status = 'leased') is true)`)}, task as (
      update llm_tasks t set status = case when t.cancel_requested then 'cancelled' else 'queued' end, attempts = t.attempts - 1,
        lease_id = null, worker_id = null, updated_at = ${nowMs}
      from held
      where t.id = held.id and ${taskIsHeld}
      returning ${columnsOf(TASK_FIELDS, "t")}, ordinal
    ), released as (
      update leases l set status = 'released' from task join request using (ordinal)
      where l.id = request.lease_id and ${leaseIsActive}
      returning ordinal, l.worker_id, l.started_at
    ), entries as (
      ${insertAudit(ENTRY, entries)}
    )
    select ordinal, ${jsonOf(TASK_FIELDS, undefined, "task")} as task, released.worker_id, started_at from task join released using (ordinal)`,
  ),
  ({ detail }) => detail.length,
);

/**
 * The transition leased -> queued, with `started` also running -> queued, or -> cancelled where that was asked for. The worker hands the task
 * back, and the attempt with it: either it has not begun the task, or, with `started`, it cannot do it for a reason of its own, such as a
 * missing command or a full disk (lifecycle.md, invariant 16). NotFound: no such task. Conflict: `lease_id` does not hold the task, or a
 * heartbeat said that the task was started and the release does not say so.
 */
export async function releaseTask(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  { lease_id, reason, started = false }: Release,
): Promise<Task> {
  if (!isUuid(taskId) || !isUuid(lease_id)) await refuse(db, taskId, lease_id, started);
  const handingBack = {
    task_id: taskId,
    lease_id,
    started,
    actor: actorOf(caller, null),
    detail: `Handed back ${started ? "after it was started" : "unstarted"}, lease ${lease_id}${reason && `: ${reason}`}`,
    entry_id: newId(),
    cancelled_entry_id: newId(),
  };
  const {
    task,
    worker_id: workerId,
    started_at: startedAt,
  } = await transition(
    () => releases.send(db, handingBack),
    () => refuse(db, taskId, lease_id, started),
  );
  tellQueueNews(db);
  const { status, updated_at: endedAt } = task;
  traceAttempt(db, { task, leaseId: lease_id, workerId, startedAt, endedAt, outcome: status, isFault: false });
  if (status === "queued") db.onCommit(() => db.meters.tasksRequeued.add(1, { cause: "handed back" }));
  return task;
}

/** Throws the reason why a task was not taken back. When there is none, it was leased just now, and the release can be tried again. */
async function refuse(db: Db, taskId: string, leaseId: string, started: boolean): Promise<void> {
  const task = await getTask(db, taskId);
  if (task.lease_id !== leaseId) throw staleLease(leaseId);
  requireStatus(task, started ? HELD_STATUSES : ["leased"]);
  if ((await findLease(db, taskId, leaseId))?.status !== "active") throw staleLease(leaseId);
}
