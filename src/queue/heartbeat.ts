import { sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import { type HeartbeatAnswer, LEASE_FIELDS, type Lease } from "../contract/record-types.ts";
import type { HeartbeatTask } from "../contract/requests.ts";
import { batchStatement } from "../db/batch-statement.ts";
import { batcher } from "../db/batcher.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf, jsonOf } from "../db/column-lists.ts";
import { workers } from "../db/fleet-tables.ts";
import { isUuid } from "../db/ids.ts";
import type { Progress } from "../db/json-types.ts";
import { transition } from "../db/statement.ts";
import { NotFound } from "../errors.ts";
import { isDrained } from "../fleet/matching.ts";
import { needsSign, recordSignOfLife } from "../fleet/signs-of-life.ts";
import {
  findLease,
  HOLDER_TYPES,
  type HolderRequest,
  heldBy,
  isHeld,
  leaseIsActive,
  staleLease,
  taskIsHeld,
} from "./fence.ts";
import { findTask } from "./get-task.ts";
import { BEATS_PER_TTL } from "./new-lease.ts";
import { runOrLog } from "./run-or-log.ts";

/** The longest time between two heartbeats, and so until a worker hears of a cancellation. */
const LONGEST_BEAT_MS = 10_000;

type Beat = HolderRequest & { progress: Progress | null };

/** The lease is answered as JSON: as columns, it took more of the driver's time (lease-statement.ts). */
type Renewed = { renewed: Lease & { cancel: boolean }; drain: boolean; needs_sign: boolean };

const heartbeats = batcher(
  batchStatement<Renewed, Beat>(
    "heartbeat",
    { ...HOLDER_TYPES, progress: "jsonb" },
    (...of) => sql`${heldBy(...of)}, task as (
      update llm_tasks t set status = 'running', updated_at = ${nowMs}, progress = coalesce(request.progress, t.progress)
      from held join request using (ordinal)
      where t.id = held.id and ${taskIsHeld}
      returning ordinal, t.lease_id, t.updated_at as now, t.cancel_requested as cancel
    ), renewed as (
      update leases l set last_heartbeat = now, expires_at = now + l.ttl_seconds * 1000::bigint
      from task
      where l.id = task.lease_id and ${leaseIsActive}
      returning ${columnsOf(LEASE_FIELDS, "l")}, ordinal, cancel
    )
    select ordinal, ${jsonOf(LEASE_FIELDS, sql`cancel`, "renewed")} as renewed, coalesce(${isDrained}, false) as drain, coalesce(${needsSign}, false) as needs_sign
    from renewed left join ${workers} on ${workers.id} = renewed.worker_id`,
  ),
  ({ progress }) => progress?.text?.length ?? 0,
);

/**
 * The transition leased or running -> running. The task's lease starts anew with its own TTL, also when it is overdue but not swept yet
 * (lifecycle.md, invariant 8). `progress` is shown on the task. NotFound: no such task, or no active lease. Conflict: `lease_id` is given and
 * is not the lease that holds the task.
 */
export async function heartbeat(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  request: Partial<HeartbeatTask> = {},
): Promise<HeartbeatAnswer> {
  const { lease_id: leaseId, progress } = request;
  if (!isUuid(taskId)) throw noLease();
  if (leaseId !== undefined && !isUuid(leaseId)) await refuse(db, taskId, leaseId);
  const beat = { task_id: taskId, lease_id: leaseId ?? null, progress: progress ?? null };
  const { renewed, drain, needs_sign } = await transition(
    () => heartbeats.send(db, beat),
    () => refuse(db, taskId, leaseId),
  );
  const { cancel, ...lease } = renewed;
  if (needs_sign)
    await runOrLog(db, caller, `heartbeat of task ${taskId}`, (what) => recordSignOfLife(db, lease.worker_id, what));
  return {
    lease,
    expires_at: lease.expires_at,
    cancel,
    drain,
    next_heartbeat_ms: Math.min(LONGEST_BEAT_MS, Math.round((lease.ttl_seconds * 1_000) / BEATS_PER_TTL)),
  };
}

const noLease = () => new NotFound("Task or lease not found");

/** Throws the reason why a heartbeat was refused. When there is none, the task was leased just now, and the heartbeat can be tried again. */
async function refuse(db: Db, taskId: string, leaseId: string | undefined): Promise<void> {
  const task = await findTask(db, taskId);
  if (!task) throw noLease();
  if (leaseId !== undefined && task.lease_id !== leaseId) throw staleLease(leaseId);
  if (!task.lease_id) throw noLease();
  if (isHeld(task) && (await findLease(db, taskId, task.lease_id))?.status === "active") return;
  throw leaseId ? staleLease(leaseId) : new NotFound("Lease not found or already expired");
}
