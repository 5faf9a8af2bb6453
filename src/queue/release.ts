import { sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { ReleaseTask } from "../contract/requests.ts";
import { TASK_FIELDS, type Task } from "../contract/views.ts";
import { actorOf, insertAudit } from "../db/audit.ts";
import { batcher } from "../db/batcher.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { HELD_STATUSES } from "../db/column-values.ts";
import { columnsOf } from "../db/columns.ts";
import { isUuid, newId } from "../db/ids.ts";
import { setStatement } from "../db/set-statement.ts";
import { transition } from "../db/statement.ts";
import { Conflict } from "../errors.ts";
import { findLease, holding, leaseIsActive, staleLease } from "./fence.ts";
import { tellQueueNews } from "./queue-news.ts";
import { getTask } from "./tasks.ts";

/** Without `started`, the worker says that it has not begun the task. */
type Release = Omit<ReleaseTask, "started"> & { started?: boolean | undefined };

type Request = {
  task_id: string;
  lease_id: string;
  started: boolean;
  actor: string | null;
  detail: string;
  entry_id: string;
  /** The id of a second entry, for a task that is cancelled now. */
  end_entry_id: string;
};

const ENTRY = {
  id: sql`id`,
  timestamp: nowMs,
  action: sql`action`,
  entity_type: sql`'llm_task'`,
  entity_id: sql`task_id`,
  actor: sql`actor`,
  detail: sql`detail`,
};
const ENTRIES = sql`(
      select entry_id as id, 'task_released' as action, id as task_id, actor, detail from task
      union all
      select end_entry_id, 'task_cancelled', id, actor, 'Cancelled when it was handed back' from task where status = 'cancelled'
    ) as entries`;

const releases = batcher(
  setStatement<{ task: Task }, Request>(
    "release",
    {
      task_id: "uuid",
      lease_id: "uuid",
      started: "boolean",
      actor: "text",
      detail: "text",
      entry_id: "uuid",
      end_entry_id: "uuid",
    },
    (locks) => sql`held as (
      select request.ordinal, request.actor, request.detail, request.entry_id, request.end_entry_id, task.*
      from request cross join lateral (
        ${holding(sql`t.id, t.lease_id, t.worker_id`, locks, sql`and (request.started or (t.status = 'leased') is true)`)}) as task
    ), task as (
      update llm_tasks t set status = case when t.cancel_requested then 'cancelled' else 'queued' end, attempts = t.attempts - 1,
        lease_id = null, worker_id = null, updated_at = ${nowMs}
      from held
      where t.id = held.id and t.lease_id = held.lease_id
      returning held.ordinal, coalesce(held.actor, held.worker_id, 'api') as actor, held.detail, held.entry_id, held.end_entry_id,
        held.lease_id as released_id, ${columnsOf(TASK_FIELDS, "t")}
    ), released as (
      update leases l set status = 'released' from task where l.id = task.released_id and ${leaseIsActive}
    ), entry as (
      ${insertAudit(ENTRY, ENTRIES)}
    )
    select ordinal, (select row_to_json(record) from (select ${columnsOf(TASK_FIELDS, "task")}) as record) as task from task`,
  ),
  ({ detail }) => detail.length,
);

/**
 * The transition leased -> queued, or -> cancelled where that was asked for. The worker hands the task back, and the attempt with it: either it
 * has not begun the task, or, with `started`, it cannot do it for a reason of its own, such as a missing command or a full disk (lifecycle.md,
 * invariant 16). NotFound: no such task. Conflict: `lease_id` does not hold the task, or a heartbeat said that the task was started and the
 * release does not say so.
 */
export async function releaseTask(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  { lease_id, reason, started = false }: Release,
): Promise<Task> {
  if (!isUuid(taskId) || !isUuid(lease_id)) await refuse(db, taskId, lease_id, started);
  const request = {
    task_id: taskId,
    lease_id,
    started,
    actor: actorOf(caller, null),
    detail: `Handed back ${started ? "after it was started" : "unstarted"}, lease ${lease_id}${reason && `: ${reason}`}`,
    entry_id: newId(),
    end_entry_id: newId(),
  };
  const { task } = await transition(
    async () => {
      const row = await releases.send(db, request);
      return row ? [row] : [];
    },
    () => refuse(db, taskId, lease_id, started),
  );
  tellQueueNews(db);
  if (task.status === "queued") db.onCommit(() => db.meters.tasksRequeued.add(1, { cause: "handed back" }));
  return task;
}

/** Throws the reason why a release was refused. When there is none, it can be tried again. */
async function refuse(db: Db, taskId: string, leaseId: string, started: boolean): Promise<void> {
  const { status, lease_id } = await getTask(db, taskId);
  const releasable = started ? HELD_STATUSES : (["leased"] as const);
  if (lease_id !== leaseId) throw staleLease(leaseId);
  if (!releasable.includes(status))
    throw new Conflict(`Task status is '${status}', expected ${releasable.map((each) => `'${each}'`).join(" or ")}`);
  if ((await findLease(db, taskId, leaseId))?.status !== "active") throw staleLease(leaseId);
}
