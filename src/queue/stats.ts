import { count, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases, llmTasks, workers } from "../db/schema.ts";

export interface Stats {
  tasks: { total: number; by_status: Record<string, number> };
  leases: { total: number; active: number };
  workers: { total: number; online: number };
}

/** Counts of what is there now; `by_status` has only statuses that occur. */
export async function stats(db: Db): Promise<Stats> {
  const countWhere = (condition: ReturnType<typeof sql>) =>
    sql<number>`count(*) filter (where ${condition})`.mapWith(Number);
  const byStatus = await db.select({ status: llmTasks.status, tasks: count() }).from(llmTasks).groupBy(llmTasks.status);
  const [leaseCounts] = await db
    .select({ total: count(), active: countWhere(sql`${leases.status} = 'active'`) })
    .from(leases);
  const [workerCounts] = await db
    .select({ total: count(), online: countWhere(sql`${workers.status} = 'online'`) })
    .from(workers);
  return {
    tasks: {
      total: byStatus.reduce((sum, row) => sum + row.tasks, 0),
      by_status: Object.fromEntries(byStatus.map((row) => [row.status, row.tasks])),
    },
    leases: leaseCounts ?? { total: 0, active: 0 },
    workers: workerCounts ?? { total: 0, online: 0 },
  };
}
