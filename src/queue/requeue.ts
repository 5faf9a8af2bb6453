import { and, eq, type SQL, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Task } from "../contract/record-types.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { REQUEUEABLE_STATUSES } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { limitReached } from "./attempt-usage.ts";
import { isStill } from "./fence.ts";
import { keptTo, lockTask, taskColumns } from "./get-task.ts";
import { tellQueueNews } from "./queue-news.ts";

/**
 * The transition from a state of `REQUEUEABLE_STATUSES` to queued, with all attempts given back. NotFound: no such task. Conflict: it is in another
 * state, or its limits are used up.
 */
export function requeueTask(db: Db, caller: Caller | undefined, taskId: string, which?: SQL): Promise<Task> {
  return inTransaction(db, async (tx) => {
    const { id, status: was, limits, usage } = await lockTask(tx, taskId, which);
    const [task] = await tx
      .update(llmTasks)
      .set({
        status: "queued",
        attempts: 0,
        lease_id: null,
        worker_id: null,
        retry_at: null,
        queue_until: sql`${nowMs} + ${llmTasks.queue_ttl_sec} * 1000::bigint`,
        tried_by: keptTo,
        elsewhere_until: null,
        updated_at: nowMs,
      })
      .where(and(eq(llmTasks.id, taskId), isStill(llmTasks.status, REQUEUEABLE_STATUSES)))
      .returning(taskColumns);
    if (!task) throw new Conflict(`Cannot requeue task with status '${was}'`);
    // Limits are checked after the state, so that a task in another state is refused for its state. The error rolls the change back.
    const reached = limitReached(limits, usage, undefined);
    if (reached !== undefined) throw new Conflict(`${reached} Replay it with other limits, as a new task.`);
    await audit(tx, {
      action: "task_requeued",
      entity_type: "llm_task",
      entity_id: id,
      actor: actorOf(caller, "admin"),
      detail: `Requeued from ${was}`,
    });
    tellQueueNews(tx);
    tx.onCommit(() => tx.meters.tasksRequeued.add(1, { cause: "operator" }));
    return task;
  });
}
