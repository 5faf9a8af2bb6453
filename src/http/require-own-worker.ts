/** A key with the role `work` is a worker: it acts for the worker of its own name, and on that worker's leases. */
import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";
import { Forbidden } from "../errors.ts";
import { leaseMeant } from "../queue/fence.ts";

/**
 * Throws Forbidden when the caller has a worker's key and `workerId` gives another worker. `workerId` is called for such keys only, since it may
 * check the body. Throws what `workerId` throws.
 */
export function requireOwnWorker(caller: Caller, workerId: () => string | undefined): void {
  const name = workerOfKey(caller);
  if (name !== undefined && name !== workerId())
    throw new Forbidden(`The key "${name}" acts for the worker "${name}" only.`);
}

/**
 * Requires that a worker's key means a lease of its own worker, and gives the id of the lease that the caller means. For a worker's key without a
 * `leaseId` it is the task's current lease, so that the call that follows cannot meet a lease that another worker got in between. Forbidden: the
 * lease is another worker's, or no lease holds the task.
 */
export async function requireOwnLease(
  db: Db,
  caller: Caller,
  taskId: string,
  leaseId: string | undefined,
): Promise<string | undefined> {
  const name = workerOfKey(caller);
  if (name === undefined) return leaseId;
  const meant = await leaseMeant(db, taskId, leaseId);
  // There is no such task or lease. The call itself answers that, in the same way for every caller.
  if (!meant || (meant.lease === null && leaseId !== undefined)) return leaseId;
  if (meant.lease === null || meant.worker !== name)
    throw new Forbidden(`The worker "${name}" of this key does not hold the task.`);
  return meant.lease;
}

/**
 * Requires that a worker's key means a lease of its own worker on the task, for calls that only read: these do not look at the lease again. Forbidden:
 * there is no such lease of the task, or it is another worker's. A task that does not exist is for the call itself to answer.
 */
export async function requireOwnTask(
  db: Db,
  caller: Caller,
  taskId: string,
  leaseId: string | undefined,
): Promise<void> {
  const name = workerOfKey(caller);
  if (name === undefined) return;
  const meant = await leaseMeant(db, taskId, leaseId);
  if (meant && meant.worker !== name) throw new Forbidden(`The worker "${name}" of this key does not hold the task.`);
}

/** Gives what `fencedBody` gave, with the lease that `requireOwnLease` gives. Throws Forbidden as `requireOwnLease` does. */
export async function requireOwnFence(
  db: Db,
  caller: Caller,
  taskId: string,
  { body, leaseId }: Fenced,
): Promise<Fenced> {
  const own = await requireOwnLease(db, caller, taskId, leaseId);
  if (own === leaseId) return { body, leaseId };
  return { body: withLease(body, own), leaseId: own };
}

interface Fenced {
  body: unknown;
  leaseId: string | undefined;
}

/** The body with the lease. A body that is no object, or has a `lease_id` of another type, stays as it is: its schema refuses it. */
function withLease(body: unknown, leaseId: string | undefined): unknown {
  if (body === undefined) return { lease_id: leaseId };
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  return "lease_id" in body && body.lease_id !== null ? body : { ...body, lease_id: leaseId };
}

function workerOfKey({ key }: Caller): string | undefined {
  return key?.role === "work" ? key.name : undefined;
}
