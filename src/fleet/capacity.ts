import { and, count, eq, not, type SQL, sql } from "drizzle-orm";
import type { Task, WorkerWithLoad } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, workers } from "../db/schema.ts";

/** Who shall hold a lease. A `named` worker is the caller's own decision: it needs neither to be online, nor labels, nor room. */
export interface Holder {
  id: string;
  named: boolean;
}

/** It gets no new work now, whoever asks. */
export const isDrained = sql`(${workers.drain} is not null
  and coalesce((${workers.drain} ->> 'until')::bigint > ${nowMs}, true))`;

/** A worker with these labels among its own. */
export function hasLabels(requires: string[]): SQL {
  return sql`${workers.capabilities} -> 'labels' @> ${JSON.stringify(requires)}::jsonb`;
}

/** A worker that the router may choose for a task, whatever its load. */
export function isEligible({ requires }: Pick<Task, "requires">): SQL | undefined {
  const hasCli = sql`(${workers.capabilities} ->> 'claude_cli')::boolean`;
  return and(eq(workers.status, "online"), hasCli, not(isDrained), hasLabels(requires));
}

/** The number of active leases a worker may hold. */
export const maxConcurrency = sql<number>`(${workers.capabilities} ->> 'max_concurrency')::int`;

/**
 * Locks the worker and counts its active leases; undefined when it is unknown or cannot take `task`.
 * Two statements on purpose: a count in the statement that locks sees the data from before its wait, and overshoots (23 leases at a
 * cap of 2; lifecycle.md, invariant 5). Every grant locks the worker first, so the count stays true until the transaction ends.
 */
export async function lockWorker(tx: Db, { id, named }: Holder, task: Task): Promise<WorkerWithLoad | undefined> {
  const [worker] = await tx
    .select()
    .from(workers)
    .where(and(eq(workers.id, id), named ? not(isDrained) : isEligible(task)))
    .for("no key update");
  if (!worker) return undefined;
  const active_leases = await countActiveLeases(tx, id);
  if (!named && active_leases >= worker.capabilities.max_concurrency) return undefined;
  return { ...worker, active_leases };
}

/** How many leases of the worker are active now. */
export async function countActiveLeases(db: Db, workerId: string): Promise<number> {
  const [counted] = await db
    .select({ active: count() })
    .from(leases)
    .where(and(eq(leases.worker_id, workerId), eq(leases.status, "active")));
  return counted?.active ?? 0;
}
