import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { TASK_STATUSES } from "../db/values.ts";

export interface Stats {
  /** When this was so, by the database's clock in epoch milliseconds: up to 2 s ago. */
  as_of: number;
  tasks: { total: number; by_status: Record<string, number> };
  leases: { total: number; active: number };
  workers: { total: number; online: number };
}

/** Nobody's asking may cost more than a twentieth of a core. */
const LONGEST_MS = 2_000;
const REST_PER_COUNTING = 20;

/** No row appears any more whose time is so long ago: rows get the time of their statement, and none waits for a lock for as long. */
const SETTLED_MS = 600_000;
/** Should the database's clock have been set back, or rows been put in by hand, that counts from then on. */
const COUNT_ALL_EVERY_MS = 3_600_000;

/**
 * How many tasks and leases there are up to a time: rows are never deleted, so that only the later ones need to be counted. Counting a million
 * of each took 140 ms, every 2 s while somebody looked.
 */
interface Settled {
  until: number;
  tasks: number;
  leases: number;
  /** The process's time at which all were counted. */
  since: number;
}

/**
 * Counts of what is there; `by_status` has only statuses that occur. They are kept for 20 times as long as it took to count, 2 s at most, so that
 * a small database's are always new. Who asks in the second half of that has them counted anew for the next one who asks.
 */
export function openStats(db: Db): () => Promise<Stats> {
  let last: { stats: Stats; countedAt: number; freshMs: number } | undefined;
  let counting: Promise<Stats> | undefined;
  let settled: Settled | undefined;
  const countAnew = async () => {
    const began = performance.now();
    if (!settled || began - settled.since > COUNT_ALL_EVERY_MS)
      settled = { until: -1, tasks: 0, leases: 0, since: began };
    const [stats, later] = await count(db, settled);
    settled = later;
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

/** Of these there may be so many that they are not counted: they are what is left of all. */
const MOST = "completed";
const COUNTED = TASK_STATUSES.filter((status) => status !== MOST);

/** In one statement, so that the numbers belong together. */
async function count(db: Db, settled: Settled): Promise<[Stats, Settled]> {
  const after = (table: string, time: string) =>
    sql`(select json_build_object('all', count(*), 'settled', count(*) filter (where ${sql.raw(time)} <= clock.settled))
      from ${sql.raw(table)}, clock where ${sql.raw(time)} > ${settled.until}::bigint)`;
  const { rows } = await db.execute<Counts>(sql`
    with clock as materialized (select ${nowMs} as now, ${nowMs} - ${SETTLED_MS} as settled)
    select now, settled, ${after("llm_tasks", "created_at")} as tasks, ${after("leases", "started_at")} as leases,
      json_build_object(${sql.join(COUNTED.map(countOf), sql`, `)}) as by_status,
      (select count(*) from leases where status = 'active')::int as active,
      (select json_build_object('total', count(*), 'online', count(*) filter (where status = 'online')) from workers) as workers
    from clock`);
  const [row] = rows;
  if (!row) throw new Error("The counting gave no row.");
  const total = settled.tasks + row.tasks.all;
  const others = Object.values(row.by_status).reduce((sum, tasks) => sum + tasks, 0);
  const byStatus = Object.entries({ ...row.by_status, [MOST]: total - others }).filter(([, tasks]) => tasks > 0);
  const stats = {
    as_of: Number(row.now),
    tasks: { total, by_status: Object.fromEntries(byStatus) },
    leases: { total: settled.leases + row.leases.all, active: row.active },
    workers: row.workers,
  };
  const later = {
    ...settled,
    until: Number(row.settled),
    tasks: settled.tasks + row.tasks.settled,
    leases: settled.leases + row.leases.settled,
  };
  return [stats, later];
}

type Counts = {
  now: string;
  settled: string;
  tasks: { all: number; settled: number };
  leases: { all: number; settled: number };
  by_status: Record<string, number>;
  active: number;
  workers: Stats["workers"];
};

/** The literal lets the planner choose the index of that status. */
const countOf = (status: string) => sql.raw(`'${status}', (select count(*) from llm_tasks where status = '${status}')`);
