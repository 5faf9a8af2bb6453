import { and, eq, type SQL, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Task } from "../contract/record-types.ts";
import { actionInSql, actorOf, audit, insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { heldStatuses } from "../db/status-lists.ts";
import { OPEN_STATUSES } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { isHeld, isStill } from "./fence.ts";
import { lockTask, taskColumns } from "./get-task.ts";
import { tellQueueNews } from "./queue-news.ts";

/**
 * Cancels a task at once when no worker holds it. A held task is only marked: its worker hears of it at the next heartbeat, and the task is cancelled
 * when its lease ends, however that happens (lifecycle.md, "States"). To cancel again changes nothing. NotFound: no such task. Conflict: it has ended
 * in another way.
 */
export function cancelTask(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  reason: string,
  which?: SQL,
): Promise<Task> {
  return inTransaction(db, async (tx) => {
    const before = await lockTask(tx, taskId, which);
    if (before.status === "cancelled" || before.cancel_requested) return before;
    const now = isHeld(before) ? { cancel_requested: true } : { status: "cancelled" as const };
    const [task] = await tx
      .update(llmTasks)
      .set({ ...now, updated_at: nowMs })
      .where(and(eq(llmTasks.id, taskId), isStill(llmTasks.status, OPEN_STATUSES)))
      .returning(taskColumns);
    if (!task) throw new Conflict(`Cannot cancel task with status '${before.status}'`);
    await audit(tx, {
      action: task.status === "cancelled" ? "task_cancelled" : "task_cancel_requested",
      entity_type: "llm_task",
      entity_id: task.id,
      actor: actorOf(caller, "api"),
      detail: `Cancelled while ${before.status}${reason && `: ${reason}`}`,
    });
    tellQueueNews(tx);
    return task;
  });
}

const canCancel = and(isStill(llmTasks.status, OPEN_STATUSES), sql`not ${llmTasks.cancel_requested}`);

/**
 * Cancels those of the tasks that are as `which` says, as `cancelTask` does it, in one statement that passes over what others have locked. `done` are
 * those that are cancelled now, or were marked already; `locked` may yet be cancelled. The rest are not as `which` says.
 */
export async function cancelTogether(
  db: Db,
  caller: Caller | undefined,
  taskIds: readonly string[],
  reason: string,
  which: SQL | undefined,
): Promise<{ done: string[]; locked: string[] }> {
  const isWanted = and(sql`${llmTasks.id} = any(${sql.param(taskIds)}::uuid[])`, which);
  const entry = {
    id: sql`gen_random_uuid()`,
    timestamp: sql`updated_at`,
    action: sql`case when status = 'cancelled' then ${actionInSql("task_cancelled")} else ${actionInSql("task_cancel_requested")} end`,
    entity_type: sql`'llm_task'`,
    entity_id: sql`id`,
    actor: sql`${actorOf(caller, "api")}`,
    detail: sql`'Cancelled while ' || before || ${reason && `: ${reason}`}`,
  };
  const { rows } = await db.execute<{ id: string; is_done: boolean }>(sql`
    with open as materialized (
      select id, status as before, (status in (${heldStatuses})) as is_held from ${llmTasks} where ${and(isWanted, canCancel)}
      order by id for no key update skip locked
    ), changed as (
      update ${llmTasks} set status = case when is_held then status else 'cancelled' end, cancel_requested = is_held, updated_at = ${nowMs}
      from open where ${and(sql`${llmTasks.id} = open.id`, canCancel)}
      returning ${llmTasks.id} as id, status, updated_at, before
    ), entries as (
      ${insertAudit(entry, sql`changed`)}
    )
    select id, cancel_requested or exists (select from changed where changed.id = ${llmTasks.id}) as is_done from ${llmTasks} where ${isWanted}`);
  tellQueueNews(db);
  const of = (isDone: boolean) => rows.filter(({ is_done }) => is_done === isDone).map(({ id }) => id);
  return { done: of(true), locked: of(false) };
}
