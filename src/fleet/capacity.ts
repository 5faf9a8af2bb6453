import { and, count, eq, sql } from "drizzle-orm";
import type { WorkerWithLoad } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { leases, workers } from "../db/schema.ts";

/** Who shall hold a lease. A `named` worker is the caller's own decision: it needs neither to be online nor to have room. */
export interface Holder {
  id: string;
  named: boolean;
}

/** A worker that the router may choose, whatever its load. */
export const isEligible = and(eq(workers.status, "online"), sql`(${workers.capabilities} ->> 'claude_cli')::boolean`);

/** The number of active leases a worker may hold. */
export const maxConcurrency = sql<number>`(${workers.capabilities} ->> 'max_concurrency')::int`;

/**
 * Locks the worker and counts its active leases; undefined when it is unknown or cannot take one more.
 * Two statements on purpose: a count in the statement that locks sees the data from before its wait, and overshoots (23 leases at a
 * cap of 2; lifecycle.md, invariant 5). Every grant locks the worker first, so the count stays true until the transaction ends.
 */
export async function lockWorker(tx: Db, { id, named }: Holder): Promise<WorkerWithLoad | undefined> {
  const [worker] = await tx
    .select()
    .from(workers)
    .where(and(eq(workers.id, id), named ? undefined : isEligible))
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
