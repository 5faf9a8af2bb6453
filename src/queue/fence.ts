/** Which lease holds a task, and the guards that transitions put into their WHERE (lifecycle.md, invariant 2 and invariant 7). */
import { and, type Column, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/complete-task.ts";
import { LEASE_FIELDS, type Lease, type Task } from "../contract/record-types.ts";
import type { Locks, Size } from "../db/batch-statement.ts";
import type { Db } from "../db/client.ts";
import { pickColumns } from "../db/column-lists.ts";
import { isUuid } from "../db/ids.ts";
import { statement } from "../db/statement.ts";
import { heldStatuses, openStatuses } from "../db/status-lists.ts";
import { HELD_STATUSES, OPEN_STATUSES, type TaskStatus } from "../db/statuses.ts";
import { leases } from "../db/task-tables.ts";
import { Conflict } from "../errors.ts";

/** The columns of a lease that answers show. */
export const leaseColumns = pickColumns(leases, LEASE_FIELDS);

/** The lease of this id if it is, or was, a lease of this task; else undefined. */
export async function findLease(db: Db, taskId: string, leaseId: string): Promise<Lease | undefined> {
  if (!isUuid(leaseId)) return undefined;
  const [lease] = await db
    .select(leaseColumns)
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
 * The lease that a caller means, and its worker: the lease that the caller names, also when it has ended, or else the task's current or last one
 * (lifecycle.md, invariant 7). `lease` is null when there is no such lease. Undefined: there is no such task.
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
 * Guards for the rows `t` of a task and `l` of a lease, which a statement finds by their ids. "is true" in `taskIsHeld` and `leaseIsActive` keeps the
 * planner from the indexes of held tasks and active leases: by its statistics these look empty, and when it used them, each heartbeat read all active
 * leases.
 */
export const taskIsHeld = sql`(t.status in (${heldStatuses})) is true`;
export const leaseIsActive = sql.raw("(l.status = 'active') is true");
/** Guard for the row `t` of a task: no lease holds it, and it does not wait in the queue. */
export const taskHasEnded = sql`(t.status not in (${openStatuses}))`;
/** True when the lease `l` of the task `t` holds it, and is the one that the caller means: `leaseId`, or any where that is null. */
export const isHeldUnder = (leaseId: SQL) =>
  sql`${taskIsHeld} and ${leaseIsActive} and t.lease_id = coalesce(${leaseId}, t.lease_id)`;

/** What a request to the holder of a task says: the task, and the lease that it means; null is whichever holds the task. */
export type HolderRequest = { task_id: string; lease_id: string | null };
export const HOLDER_TYPES = { task_id: "uuid", lease_id: "uuid" } as const;

/**
 * The CTE `held` of a batch statement: the tasks that the requests in `request` are about and that their lease holds, each with the `ordinal` of its
 * request, locked in the order of their ids. Of several requests for one task, only the first is in it, and the others are sent again alone.
 * `condition` is a further condition on the task `t`, its lease `l` and the request.
 */
export function heldBy(locks: Locks, size: Size, condition = sql`true`): SQL {
  const held = sql`select request.ordinal, t.id from request join llm_tasks t on t.id = request.task_id join leases l on l.id = t.lease_id
        where ${isHeldUnder(sql`request.lease_id`)} and ${condition}`;
  // A batch also passes over a lease that somebody else has locked: to change it, the whole batch would have to wait.
  const lock = sql.raw(`for no key update of ${locks === "waits" ? "t" : "t, l skip locked"}`);
  return size === "one"
    ? sql`held as (${held} ${lock})`
    : sql`held as (select distinct on (id) ordinal, id from (${held} order by t.id ${lock}) as locked order by id, ordinal)`;
}

/** Like `taskIsHeld`, for a query that Drizzle builds and for any statuses. */
export function isStill<Status extends Column>(column: Status, statuses: readonly Status["_"]["data"][]): SQL {
  return sql`(${inArray(column, statuses)}) is true`;
}

/** The answer to a caller whose lease does not hold the task (lifecycle.md, invariant 7). */
export function staleLease(leaseId = "(none)"): Conflict {
  return new Conflict(`Lease ${leaseId} does not hold this task; stop working on it.`);
}

/** True while a lease holds the task. */
export const isHeld = ({ status }: Task) => HELD_STATUSES.includes(status);

/** True when the task has ended: no lease holds it, and it does not wait in the queue. */
export const hasEnded = ({ status }: Task) => !OPEN_STATUSES.includes(status);

/** Conflict: the task is in none of these states. */
export function requireStatus({ status }: Task, statuses: readonly TaskStatus[]): void {
  if (statuses.includes(status)) return;
  const expected = statuses.map((each) => `'${each}'`).join(" or ");
  throw new Conflict(`Task status is '${status}', expected ${expected}`);
}

/** Conflict: no lease holds the task. */
export const requireHeld = (task: Task): void => requireStatus(task, HELD_STATUSES);

/**
 * The lease and the worker to which a completion belongs. `late` means that the lease was swept: a success is still kept then (lifecycle.md,
 * invariant 8), an error is not. Conflict: the lease neither holds nor held the task.
 */
export async function holderForCompletion(tx: Db, task: Task, { lease_id: leaseId, status }: CompleteTask) {
  if (leaseId === undefined) requireHeld(task);
  if (isHeld(task) && task.lease_id && task.worker_id && (leaseId ?? task.lease_id) === task.lease_id)
    return { leaseId: task.lease_id, workerId: task.worker_id, late: false };
  const lease = await findLease(tx, task.id, leaseId ?? "");
  if (lease?.status !== "expired" || status !== "success") throw staleLease(leaseId);
  return { leaseId: lease.id, workerId: lease.worker_id, late: true };
}
