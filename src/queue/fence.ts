import { and, eq, sql } from "drizzle-orm";
import type { Lease, Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import { leases } from "../db/schema.ts";
import { Conflict } from "../errors.ts";

/** A lease of this task, whatever has become of it; undefined for any other id. */
export async function findLease(db: Db, taskId: string, leaseId: string): Promise<Lease | undefined> {
  if (!isUuid(leaseId)) return undefined;
  const [lease] = await db
    .select()
    .from(leases)
    .where(and(eq(leases.id, leaseId), eq(leases.task_id, taskId)));
  return lease;
}

/**
 * Guards in statements for the rows `t` and `l` that are found by their ids. "is true" keeps the planner from the indexes of what is held or
 * active: to its statistics they look empty, and each heartbeat read all active leases.
 */
export const taskIsHeld = sql.raw("(t.status in ('leased', 'running')) is true");
export const leaseIsActive = sql.raw("(l.status = 'active') is true");

/** The answer to a caller whose lease is not the one that holds the task (lifecycle.md, invariant 7). */
export function staleLease(leaseId = "(none)"): Conflict {
  return new Conflict(`Lease ${leaseId} does not hold this task; stop working on it.`);
}

/** True while a lease holds the task. */
export const isHeld = ({ status }: Task) => status === "leased" || status === "running";

/** Conflict: no lease holds the task. */
export function requireHeld(task: Task): void {
  if (!isHeld(task)) throw new Conflict(`Task status is '${task.status}', expected 'leased' or 'running'`);
}
