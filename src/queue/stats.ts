import { eq, count as rows, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks, workers } from "../db/schema.ts";

export interface Stats {
  /** When this was so, by the database's clock in epoch milliseconds: up to 2 s ago. */
  as_of: number;
  tasks: { total: number; by_status: Record<string, number> };
  leases: { total: number; active: number };
  workers: { total: number; online: number };
}

/** Counting a million tasks takes about 150 ms; nobody's asking may cost more than a twentieth of a core. */
const LONGEST_MS = 2_000;
const REST_PER_COUNTING = 20;

/**
 * Counts of what is there; `by_status` has only statuses that occur. They are kept for 20 times as long as it took to count, 2 s at most, so that
 * a small database's are always new. Who asks in the second half of that has them counted anew for the next one who asks.
 */
export function openStats(db: Db): () => Promise<Stats> {
  let last: { stats: Stats; countedAt: number; freshMs: number } | undefined;
  let counting: Promise<Stats> | undefined;
  const countAnew = async () => {
    const began = performance.now();
    const stats = await count(db);
    const countedAt = performance.now();
    last = { stats, countedAt: began, freshMs: Math.min(LONGEST_MS, (countedAt - began) * REST_PER_COUNTING) };
    return stats;
  };
  const once = () => {
    counting ??= countAnew().finally(() => {
      counting = undefined;
    });
    return counting;
  };
  return async () => {
    const age = last ? performance.now() - last.countedAt : Number.POSITIVE_INFINITY;
    if (!last || age > last.freshMs) return once();
    // Whoever asks next hears of a failure.
    if (age > last.freshMs / 2) once().catch(() => {});
    return last.stats;
  };
}

async function count(db: Db): Promise<Stats> {
  const byStatus = await db.select({ status: llmTasks.status, tasks: rows() }).from(llmTasks).groupBy(llmTasks.status);
  // Two queries: of the first, any index is enough, of the second, that of the active ones.
  const [leaseCounts] = await db.select({ total: rows(), now: nowMs }).from(leases);
  const [held] = await db.select({ active: rows() }).from(leases).where(eq(leases.status, "active"));
  const [workerCounts] = await db
    .select({
      total: rows(),
      online: sql<number>`count(*) filter (where ${workers.status} = 'online')`.mapWith(Number),
    })
    .from(workers);
  return {
    as_of: leaseCounts?.now ?? 0,
    tasks: {
      total: byStatus.reduce((sum, row) => sum + row.tasks, 0),
      by_status: Object.fromEntries(byStatus.map((row) => [row.status, row.tasks])),
    },
    leases: { total: leaseCounts?.total ?? 0, active: held?.active ?? 0 },
    workers: workerCounts ?? { total: 0, online: 0 },
  };
}
