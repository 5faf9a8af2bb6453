import { and, eq, type SQL } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Task } from "../contract/record-types.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { OPEN_STATUSES } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { isHeld, isStill } from "./fence.ts";
import { lockTask, taskColumns } from "./one-task.ts";
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
