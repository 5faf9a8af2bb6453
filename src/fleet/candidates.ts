import { and, count, desc, eq, ne, sql } from "drizzle-orm";
import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { leases, workers } from "../db/schema.ts";
import { isEligible, maxConcurrency } from "./capacity.ts";
import { takesCalls } from "./refusals.ts";

/** More are not worth trying in one round; the caller asks again when all of them were taken meanwhile. */
const ROUND = 16;

/**
 * Ids of the workers that could take the task, the best first: one that holds an active lease of the same context (its
 * CLI session is warm), then most free slots, then freshest sign of life; `withUrl` only those whose agent can be called. A view without
 * locks: the grant decides.
 */
export async function candidatesFor(
  db: Db,
  task: Pick<Task, "requires" | "context_id">,
  { withUrl = false } = {},
): Promise<string[]> {
  const active = count(leases.id);
  const rows = await db
    .select({ id: workers.id })
    .from(workers)
    .leftJoin(leases, and(eq(leases.worker_id, workers.id), eq(leases.status, "active")))
    .where(and(isEligible(task), withUrl ? and(ne(workers.url, ""), takesCalls) : undefined))
    .groupBy(workers.id)
    .having(sql`${active} < ${maxConcurrency}`)
    .orderBy(
      desc(sql`coalesce(bool_or(${leases.context_id} = ${task.context_id}), false)`),
      desc(sql`${maxConcurrency} - ${active}`),
      sql`${workers.last_heartbeat} desc nulls last`,
      workers.id,
    )
    .limit(ROUND);
  return rows.map((row) => row.id);
}
