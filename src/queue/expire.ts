import { and, eq, inArray, type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { tellQueueNews } from "./news.ts";

/** How many leases ended, and where their tasks went. */
export interface Expired {
  expired: number;
  requeued: number;
  dead: number;
  cancelled: number;
}

export const NONE_EXPIRED: Expired = { expired: 0, requeued: 0, dead: 0, cancelled: 0 };

/**
 * Ends the active leases of `taskIds` that match `which`: each lease `expired`, its task queued again while attempts
 * remain, else dead; cancelled where that was asked for.
 * `tx` must hold the locks of these tasks; a lease that was renewed or ended before they were taken no longer matches, and is left alone.
 */
export async function expireLeases(tx: Db, taskIds: string[], which: SQL, reason: string): Promise<Expired> {
  if (taskIds.length === 0) return NONE_EXPIRED;
  const ended = await tx
    .update(leases)
    .set({ status: "expired" })
    .where(and(inArray(leases.task_id, taskIds), eq(leases.status, "active"), which))
    .returning({ id: leases.id, task_id: leases.task_id, worker_id: leases.worker_id });
  if (ended.length === 0) return NONE_EXPIRED;

  const next = sql`case when ${llmTasks.cancel_requested} then 'cancelled'
    when ${llmTasks.attempts} < ${llmTasks.max_attempts} then 'queued' else 'dead' end`;
  const unlessQueued = (column: SQLWrapper) => sql`case when ${next} = 'queued' then null else ${column} end`;
  const moved = await tx
    .update(llmTasks)
    .set({
      status: next,
      lease_id: unlessQueued(llmTasks.lease_id),
      worker_id: unlessQueued(llmTasks.worker_id),
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
      action: ACTIONS[task.status] ?? `task_${task.status}`,
      entity_type: "llm_task",
      entity_id: task.id,
      actor: "runtime",
      detail: `Attempt ${task.attempts} of ${task.max} ended without a result: ${reason}`,
    })),
  );
  tellQueueNews(tx);
  const count = (status: string) => moved.filter((task) => task.status === status).length;
  return { expired: ended.length, requeued: count("queued"), dead: count("dead"), cancelled: count("cancelled") };
}

const ACTIONS: Record<string, string> = { queued: "task_requeued" };
