import { and, eq, inArray, sql } from "drizzle-orm";
import type { HeartbeatTask } from "../contract/requests.ts";
import type { Lease } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { NotFound } from "../errors.ts";
import { seen } from "../fleet/evidence.ts";
import { staleLease } from "./fence.ts";
import { findLocked } from "./tasks.ts";

/** A worker that misses two beats still holds its lease. */
const BEATS_PER_TTL = 3;
/** It hears of a cancellation within that time. */
const LONGEST_BEAT_MS = 10_000;

/** What the worker hears back. */
export interface Pulse {
  lease: Lease;
  expires_at: number;
  /** The task is to be cancelled: stop, and complete or let go. */
  cancel: boolean;
  /** It is to take no new work. */
  drain: boolean;
  /** When to send the next one, in milliseconds. */
  next_heartbeat_ms: number;
}

const noLease = () => new NotFound("Task or lease not found");

/**
 * One transition: leased or running -> running. The task's lease is renewed to now and its own TTL, also when it is overdue but not yet
 * swept (lifecycle.md, invariant 8); `progress` is shown on the task. NotFound: no task, never leased, or its lease is not active. Conflict: `lease_id` is given and is not
 * the lease that holds it.
 */
export function heartbeat(db: Db, taskId: string, request: Partial<HeartbeatTask> = {}): Promise<Pulse> {
  const { lease_id: leaseId, progress } = request;
  return inTransaction(db, async (tx) => {
    const task = await findLocked(tx, taskId);
    if (!task) throw noLease();
    if (leaseId !== undefined && task.lease_id !== leaseId) throw staleLease(leaseId);
    if (!task.lease_id || !task.worker_id) throw noLease();
    const worker = await seen(tx, task.worker_id, `heartbeat of task ${taskId}`);
    const [lease] = await tx
      .update(leases)
      .set({ last_heartbeat: nowMs, expires_at: sql`${nowMs} + ${leases.ttl_seconds} * 1000::bigint` })
      .where(and(eq(leases.id, task.lease_id), eq(leases.status, "active")))
      .returning();
    if (!lease) throw leaseId ? staleLease(leaseId) : new NotFound("Lease not found or already expired");
    await tx
      .update(llmTasks)
      .set({ status: "running", updated_at: nowMs, ...(progress && { progress }) })
      .where(and(eq(llmTasks.id, taskId), inArray(llmTasks.status, ["leased", "running"])));
    return {
      lease,
      expires_at: lease.expires_at,
      cancel: task.cancel_requested,
      drain: worker?.drained ?? false,
      next_heartbeat_ms: Math.min(LONGEST_BEAT_MS, Math.round((lease.ttl_seconds * 1_000) / BEATS_PER_TTL)),
    };
  });
}
