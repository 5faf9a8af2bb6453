import { and, count, eq, gt, sql } from "drizzle-orm";
import type { WorkerWithLoad } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { leases, workerColumns, workers } from "../db/schema.ts";
import type { Drain, Rest } from "../db/values.ts";
import { NotFound } from "../errors.ts";
import { isDrained } from "./capacity.ts";
import { isResting } from "./rest.ts";

export const workerNotFound = () => new NotFound("Worker not found");

/** The first `limit` workers by name that come after `after`, each with the number of its leases that are active now. */
export function listWorkers(
  db: Db,
  { limit, after = "" }: { limit: number; after?: string | undefined },
): Promise<WorkerWithLoad[]> {
  return selectWorkers(db).where(gt(workers.id, after)).orderBy(workers.id).limit(limit);
}

/** The worker with the number of its active leases. NotFound: no such worker. */
export async function getWorker(db: Db, id: string): Promise<WorkerWithLoad> {
  const [worker] = await selectWorkers(db).where(eq(workers.id, id));
  if (!worker) throw workerNotFound();
  return worker;
}

/** A drain or a rest whose end has passed counts as none. */
const drainNow = sql<Drain | null>`case when ${isDrained} then ${workers.drain} end`;
const restNow = sql<Rest | null>`case when ${isResting} then ${workers.rest} end`;

function selectWorkers(db: Db) {
  return db
    .select({ ...workerColumns, drain: drainNow, rest: restNow, active_leases: count(leases.id) })
    .from(workers)
    .leftJoin(leases, and(eq(leases.worker_id, workers.id), eq(leases.status, "active")))
    .groupBy(workers.id)
    .$dynamic();
}
