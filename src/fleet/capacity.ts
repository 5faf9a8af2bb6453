import { and, count, eq, type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, workers } from "../db/schema.ts";
import { isResting } from "./rest.ts";

/** It gets no new work now, whoever asks. */
export const isDrained = sql`(${workers.drain} is not null
  and coalesce((${workers.drain} ->> 'until')::bigint > ${nowMs}, true))`;

/** A worker with these labels, a JSON array, among its own. */
export function hasLabels(requires: SQL): SQL {
  return sql`${workers.labels} @> ${requires}`;
}

/** A worker that the router may choose for a task that requires these labels, whatever its load. */
export function isEligible(requires: SQL): SQL {
  return sql`(${workers.status} = 'online' and ${workers.has_cli} and not ${isDrained}
    and not ${isResting} and ${hasLabels(requires)})`;
}

/**
 * The number of active leases of a worker, for the RETURNING of an update of its row, which has it locked then. The function looks anew, after
 * the wait for the lock; a count in the statement itself sees the data from before, and overshoots (23 leases at a cap of 2; lifecycle.md,
 * invariant 5). Every grant changes the worker's row first, so the count stays true until the transaction ends.
 */
export function activeLeasesOfLocked(worker: SQL): SQL {
  return sql`bloom_runtime.count_active_leases(${worker})`;
}

/** The number of active leases a worker may hold. */
export const maxConcurrency = sql<number>`${workers.slots}`;

/** How many more tasks a worker may get now, in a query on workers without locks: 0 while it is drained or rests. */
export const freeRoom = sql<number>`(case when ${isDrained} or ${isResting} then 0 else greatest(0, ${maxConcurrency}
  - (select count(*)::int from ${leases} where worker_id = ${workers.id} and status = 'active')) end)`;

/** How many leases of the worker are active now. */
export async function countActiveLeases(db: Db, workerId: string): Promise<number> {
  const [counted] = await db
    .select({ active: count() })
    .from(leases)
    .where(and(eq(leases.worker_id, workerId), eq(leases.status, "active")));
  return counted?.active ?? 0;
}
