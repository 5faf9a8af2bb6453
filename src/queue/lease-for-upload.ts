import type { Db } from "../db/client.ts";
import { findLease, requireHeld, staleLease } from "./fence.ts";
import { getTask } from "./get-task.ts";

/**
 * The id of the lease under which an output of the task is uploaded before its completion: `leaseId`, even if that lease was swept meanwhile
 * (lifecycle.md, invariant 8), or without it the task's current lease. NotFound: no such task. Conflict: the lease never held the task, or was
 * ended otherwise.
 */
export async function leaseForUpload(db: Db, taskId: string, leaseId: string | undefined): Promise<string> {
  const task = await getTask(db, taskId);
  if (leaseId === undefined) requireHeld(task);
  const id = leaseId ?? task.lease_id ?? "";
  const lease = await findLease(db, taskId, id);
  if (lease?.status !== "active" && lease?.status !== "expired") throw staleLease(id);
  return lease.id;
}
