import { and, eq, sql } from "drizzle-orm";
import type { ReleaseTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { isStill, staleLease } from "./fence.ts";
import { tellQueueNews } from "./news.ts";
import { lockTask } from "./tasks.ts";

/**
 * One transition: leased -> queued, or cancelled where that was asked for. The worker hands the task back unstarted, and the attempt with
 * it. NotFound: no such task.
 * Conflict: `lease_id` does not hold it, or a heartbeat has said that it was started.
 */
export function releaseTask(db: Db, taskId: string, { lease_id, reason }: ReleaseTask): Promise<Task> {
  return inTransaction(db, async (tx) => {
    const { status, worker_id, ...before } = await lockTask(tx, taskId);
    const next = before.cancel_requested ? "cancelled" : "queued";
    if (before.lease_id !== lease_id) throw staleLease(lease_id);
    if (status !== "leased") throw new Conflict(`Task status is '${status}', expected 'leased'`);
    const released = await tx
      .update(leases)
      .set({ status: "released" })
      .where(and(eq(leases.id, lease_id), isStill(leases.status, ["active"])))
      .returning({ id: leases.id });
    const [task] = await tx
      .update(llmTasks)
      .set({
        status: next,
        attempts: sql`${llmTasks.attempts} - 1`,
        lease_id: null,
        worker_id: null,
        updated_at: nowMs,
      })
      .where(and(eq(llmTasks.id, taskId), isStill(llmTasks.status, ["leased"])))
      .returning();
    if (released.length === 0 || !task) throw staleLease(lease_id);
    const fact = { entity_type: "llm_task", entity_id: taskId, actor: worker_id ?? "api" };
    const detail = `Handed back unstarted, lease ${lease_id}${reason && `: ${reason}`}`;
    await audit(tx, { ...fact, action: "task_released", detail });
    if (next === "cancelled")
      await audit(tx, { ...fact, action: "task_cancelled", detail: "Cancelled when it was handed back" });
    tellQueueNews(tx);
    return task;
  });
}
