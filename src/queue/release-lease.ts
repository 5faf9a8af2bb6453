import { and, eq } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases } from "../db/task-tables.ts";
import { isStill, staleLease } from "./fence.ts";

/**
 * Ends an active lease when its worker completes or releases the task, and gives when it began. Locks the lease, after the task and the worker.
 * Conflict: it is not active.
 */
export async function releaseLease(tx: Db, leaseId: string): Promise<number> {
  const [released] = await tx
    .update(leases)
    .set({ status: "released" })
    .where(and(eq(leases.id, leaseId), isStill(leases.status, ["active"])))
    .returning({ startedAt: leases.started_at });
  if (!released) throw staleLease(leaseId);
  return released.startedAt;
}
