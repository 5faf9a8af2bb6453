import { and, type Column, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { Lease, Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import { leases } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
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

const MEANT = statement<{ lease: string | null; worker: string | null }, { taskId: string; leaseId: string | null }>(
  "lease_meant",
  sql`select l.id as lease, l.worker_id as worker from llm_tasks t
    left join leases l on l.task_id = t.id and l.id = coalesce(${sql.placeholder("leaseId")}::uuid, t.lease_id)
    where t.id = ${sql.placeholder("taskId")}`,
);

/**
 * The lease that a caller means (lifecycle.md, invariant 7), and its worker: the one that it names, whatever has become of it, or else the
 * task's current or last one. `lease` is null where there is none such; undefined: no such task.
 */
export async function leaseMeant(
  db: Db,
  taskId: string,
  leaseId: string | undefined,
): Promise<{ lease: string | null; worker: string | null } | undefined> {
  if (!isUuid(taskId)) return undefined;
  if (leaseId !== undefined && !isUuid(leaseId)) return { lease: null, worker: null };
  return (await MEANT(db, { taskId, leaseId: leaseId ?? null }))[0];
}

/**
 * Guards in statements for the rows `t` and `l` that are found by their ids. "is true" keeps the planner from the indexes of what is held or
 * active: to its statistics they look empty, and each heartbeat read all active leases.
 */
export const taskIsHeld = sql.raw("(t.status in ('leased', 'running')) is true");
export const leaseIsActive = sql.raw("(l.status = 'active') is true");

/** The same for a row of a query of Drizzle's, and any statuses. */
export function isStill<Status extends Column>(column: Status, statuses: Status["_"]["data"][]): SQL {
  return sql`(${inArray(column, statuses)}) is true`;
}

/** The answer to a caller whose lease is not the one that holds the task (lifecycle.md, invariant 7). */
export function staleLease(leaseId = "(none)"): Conflict {
  return new Conflict(`Lease ${leaseId} does not hold this task; stop working on it.`);
}

/** True while a lease holds the task. */
export const isHeld = ({ status }: Task) => status === "leased" || status === "running";

/** True when the task has ended: nobody holds it, and it does not wait either. */
export const isOver = (task: Task) => !isHeld(task) && task.status !== "queued";

/** Conflict: no lease holds the task. */
export function requireHeld(task: Task): void {
  if (!isHeld(task)) throw new Conflict(`Task status is '${task.status}', expected 'leased' or 'running'`);
}
