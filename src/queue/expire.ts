import { and, eq, inArray, type SQL, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/schema.ts";

/** How many leases ended, and where their tasks went. */
export interface Expired {
  expired: number;
  requeued: number;
  dead: number;
}

/**
 * Ends the active leases of `taskIds` that match `which`: each lease `expired`, its task queued again while attempts remain, else dead.
 * `tx` must hold the locks of these tasks; a lease that was renewed or ended before they were taken no longer matches, and is left alone.
 */
export async function expireLeases(tx: Db, taskIds: string[], which: SQL, reason: string): Promise<Expired> {
  if (taskIds.length === 0) return { expired: 0, requeued: 0, dead: 0 };
  const ended = await tx
    .update(leases)
    .set({ status: "expired" })
    .where(and(inArray(leases.task_id, taskIds), eq(leases.status, "active"), which))
    .returning({ id: leases.id, task_id: leases.task_id, worker_id: leases.worker_id });
  if (ended.length === 0) return { expired: 0, requeued: 0, dead: 0 };

  const again = sql`${llmTasks.attempts} < ${llmTasks.max_attempts}`;
  const moved = await tx
    .update(llmTasks)
    .set({
      status: sql`case when ${again} then 'queued' else 'dead' end`,
      lease_id: sql`case when ${again} then null else ${llmTasks.lease_id} end`,
      worker_id: sql`case when ${again} then null else ${llmTasks.worker_id} end`,
      updated_at: nowMs,
    })
    .where(
      and(
        inArray(
          llmTasks.lease_id,
          ended.map((lease) => lease.id),
        ),
        inArray(llmTasks.status, ["leased", "running"]),
        inArray(llmTasks.id, taskIds),
      ),
    )
    .returning({ id: llmTasks.id, status: llmTasks.status, attempts: llmTasks.attempts, max: llmTasks.max_attempts });

  await audit(
    tx,
    ...ended.map((lease) => ({
      action: "lease_expired",
      entity_type: "lease",
      entity_id: lease.id,
      actor: "runtime",
      detail: `Lease of task ${lease.task_id} to worker ${lease.worker_id} ended: ${reason}`,
    })),
    ...moved.map((task) => ({
      action: task.status === "dead" ? "task_dead" : "task_requeued",
      entity_type: "llm_task",
      entity_id: task.id,
      actor: "runtime",
      detail: `Attempt ${task.attempts} of ${task.max} ended without a result: ${reason}`,
    })),
  );
  const dead = moved.filter((task) => task.status === "dead").length;
  return { expired: ended.length, requeued: moved.length - dead, dead };
}
