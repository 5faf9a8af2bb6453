import type { Db } from "../db/client.ts";
import { type StagedOutput, stageUpload } from "../storage/staging.ts";
import { findLease, requireHeld, staleLease } from "./fence.ts";
import { getTask } from "./get-task.ts";

/**
 * Takes the bytes of an output before its completion, which then names the output by its id. `leaseId` is the lease under which the worker has the
 * task, even if that was swept meanwhile (lifecycle.md, invariant 8); without it the task's current lease is meant. An earlier upload under
 * the lease that no completion used is dropped. NotFound: no such task. Conflict: the lease never held the task, or a later upload came
 * meanwhile. OutputTooLarge: more than `maxBytes` came.
 */
export async function uploadOutput(
  db: Db,
  taskId: string,
  leaseId: string | undefined,
  body: AsyncIterable<Buffer>,
  maxBytes: number,
): Promise<StagedOutput> {
  const task = await getTask(db, taskId);
  if (leaseId === undefined) requireHeld(task);
  const id = leaseId ?? task.lease_id ?? "";
  const lease = await findLease(db, taskId, id);
  if (lease?.status !== "active" && lease?.status !== "expired") throw staleLease(id);
  return stageUpload(db, { taskId, leaseId: lease.id }, body, maxBytes);
}
