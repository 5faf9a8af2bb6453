import { and, eq, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Task } from "../contract/record-types.ts";
import type { ReleaseTask } from "../contract/requests.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { HELD_STATUSES } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { isStill, staleLease } from "./fence.ts";
import { tellQueueNews } from "./queue-news.ts";
import { releaseLease } from "./release-lease.ts";
import { lockTask, taskColumns } from "./tasks.ts";
import { traceRun } from "./trace-run.ts";

/** Without `started`, the worker says that it has not begun the task. */
type Release = Omit<ReleaseTask, "started"> & { started?: boolean | undefined };

/**
 * The transition leased -> queued, or -> cancelled where that was asked for. The worker hands the task back, and the attempt with it: either it
 * has not begun the task, or, with `started`, it cannot do it for a reason of its own, such as a missing command or a full disk (lifecycle.md,
 * invariant 16). NotFound: no such task. Conflict: `lease_id` does not hold the task, or a heartbeat said that the task was started and the
 * release does not say so.
 */
export function releaseTask(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  { lease_id, reason, started = false }: Release,
): Promise<Task> {
  const releasable = started ? HELD_STATUSES : (["leased"] as const);
  return inTransaction(db, async (tx) => {
    const { status, worker_id, ...before } = await lockTask(tx, taskId);
    const next = before.cancel_requested ? "cancelled" : "queued";
    if (before.lease_id !== lease_id) throw staleLease(lease_id);
    if (!releasable.includes(status))
      throw new Conflict(`Task status is '${status}', expected ${releasable.map((each) => `'${each}'`).join(" or ")}`);
    const startedAt = await releaseLease(tx, lease_id);
    const [task] = await tx
      .update(llmTasks)
      .set({
        status: next,
        attempts: sql`${llmTasks.attempts} - 1`,
        lease_id: null,
        worker_id: null,
        updated_at: nowMs,
      })
      .where(and(eq(llmTasks.id, taskId), isStill(llmTasks.status, releasable)))
      .returning(taskColumns);
    if (!task) throw staleLease(lease_id);
    const fact = { entity_type: "llm_task", entity_id: task.id, actor: actorOf(caller, worker_id ?? "api") };
    const detail = `Handed back ${started ? "after it was started" : "unstarted"}, lease ${lease_id}${reason && `: ${reason}`}`;
    await audit(tx, { ...fact, action: "task_released", detail });
    if (next === "cancelled")
      await audit(tx, { ...fact, action: "task_cancelled", detail: "Cancelled when it was handed back" });
    tellQueueNews(tx);
    if (worker_id !== null)
      traceRun(tx, {
        task,
        leaseId: lease_id,
        workerId: worker_id,
        startedAt,
        endedAt: task.updated_at,
        outcome: next,
        isFault: false,
      });
    if (next === "queued") tx.onCommit(() => tx.meters.tasksRequeued.add(1, { cause: "handed back" }));
    return task;
  });
}
