import { and, count, eq, type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { leases } from "../db/task-tables.ts";
import { isAccountIdle, isPaced } from "./account-pace.ts";
import { isAvailable, takesNewWork } from "./matching.ts";

/** The number of active leases that a worker may hold. */
export const maxConcurrency = sql<number>`${workers.slots}`;

/** The number of active leases that each worker holds, as a subquery beside its row in `workers`. Nothing is locked. */
export const activeLeases = sql<number>`(select count(*)::int from ${leases} where worker_id = workers.id and status = 'active')`;

/**
 * How many more tasks a worker that holds `active` leases may get now, in a query on `workers`: 0 while it is drained or rests, at most one of a
 * paced account. Nothing is locked.
 */
export const freeRoomBeside = (active: SQL<number>) => sql<number>`(case when not ${takesNewWork} then 0
  when ${isPaced} then case when ${isAccountIdle} then 1 else 0 end else greatest(0, ${maxConcurrency} - ${active}) end)`;
export const freeRoom = freeRoomBeside(activeLeases);

/**
 * The CTE `load`, which counts the active leases of all workers at once, in column `active`; `more` are further columns of it. It is for queries
 * that compare many workers, and quicker there than `activeLeases`. `workersWithLoad` joins it, and `load` is then a worker's number.
 */
export function loadCte(more: SQL = sql``): SQL {
  return sql`load as materialized (
      select worker_id, count(*) as active${more} from ${leases} where status = 'active' group by worker_id
    )`;
}
export const workersWithLoad = sql`${workers} left join load on load.worker_id = ${workers.id}`;
export const load = sql<number>`coalesce(load.active, 0)`;
/** True in SQL for a worker in `workersWithLoad` that the router may choose, and that has room. */
export const isFree = sql`(${isAvailable} and ${load} < ${maxConcurrency})`;

/**
 * The number of active leases of a worker, for the RETURNING of an UPDATE of its row, which is locked then. The database function looks at the
 * data again after the wait for the lock. A count in the statement itself sees the data from before the wait, and gave 23 leases at a limit of 2
 * (lifecycle.md, invariant 5). Everything that leases a task changes the worker's row first, so the count stays true until the commit.
 */
export function activeLeasesOfLocked(worker: SQL): SQL {
  return sql`bloom_runtime.count_active_leases(${worker})`;
}

/** How many leases of the worker are active now. */
export async function countActiveLeases(db: Db, workerId: string): Promise<number> {
  const [counted] = await db
    .select({ active: count() })
    .from(leases)
    .where(and(eq(leases.worker_id, workerId), eq(leases.status, "active")));
  return counted?.active ?? 0;
}
