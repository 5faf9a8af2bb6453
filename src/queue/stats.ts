import { sql } from "drizzle-orm";
import type { Stats } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { TASK_STATUSES, type TaskStatus } from "../db/statuses.ts";

/** Numbers are kept for 20 times the time that reading them took, so that requests for them cost at most a twentieth of a core. */
export const KEPT_PER_READING = 20;
/** The longest time for which counts are kept. */
const LONGEST_MS = 2_000;

/** A row becomes visible at most this long after the time written in it, which is that of its statement: no statement waits longer for a lock. */
const SETTLED_MS = 600_000;
/** Everything is counted anew from time to time, since the database's clock may have been set back, or rows may have been put in by hand. */
const COUNT_ALL_EVERY_MS = 3_600_000;

/**
 * How many tasks and leases there are up to a time, so that only later ones need to be counted. To count a million of each took 140 ms, every 2 s
 * while somebody looked.
 */
interface Settled {
  until: number;
  tasks: number;
  leases: number;
  /** How many tasks had been removed then (retention/remove-tasks.ts). When it is another number now, everything is counted anew. */
  removed: number;
  /** When all rows were counted last, by the clock of this process. */
  since: number;
}

/**
 * Gives a function that counts tasks, leases and workers; `by_status` has only statuses that occur. Counts are kept for 20 times the time
 * that counting took, 2 s at most, so that those of a small database are always new. A request in the second half of that time gets the kept counts,
 * and has them counted anew for the next request.
 */
export function openStats(db: Db): () => Promise<Stats> {
  let last: { stats: Stats; beganAt: number; freshMs: number } | undefined;
  let counting: Promise<Stats> | undefined;
  let settled: Settled | undefined;
  const countAnew = async () => {
    const beganAt = performance.now();
    if (!settled || beganAt - settled.since > COUNT_ALL_EVERY_MS) settled = nothingSettled(beganAt);
    let [stats, later] = await count(db, settled);
    if (settled.until >= 0 && later.removed !== settled.removed)
      [stats, later] = await count(db, nothingSettled(beganAt));
    settled = later;
    const tookMs = performance.now() - beganAt;
    last = { stats, beganAt, freshMs: Math.min(LONGEST_MS, tookMs * KEPT_PER_READING) };
    return stats;
  };
  const once = () => {
    counting ??= countAnew().finally(() => {
      counting = undefined;
    });
    return counting;
  };
  return async () => {
    const age = last ? performance.now() - last.beganAt : Number.POSITIVE_INFINITY;
    if (!last || age > last.freshMs) return once();
    // A failure is thrown to the next request, which counts by itself.
    if (age > last.freshMs / 2) once().catch(() => {});
    return last.stats;
  };
}

const nothingSettled = (since: number): Settled => ({ until: -1, tasks: 0, leases: 0, removed: 0, since });

/** The status that most tasks have. They are not counted: their number is the rest of the total. */
const UNCOUNTED: TaskStatus = "completed";
const COUNTED = TASK_STATUSES.filter((status) => status !== UNCOUNTED);

/** Counts in one statement, so that the numbers are of the same moment. */
async function count(db: Db, settled: Settled): Promise<[Stats, Settled]> {
  const after = (table: string, time: string) =>
    sql`(select json_build_object('all', count(*), 'settled', count(*) filter (where ${sql.raw(time)} <= clock.settled))
      from ${sql.raw(table)}, clock where ${sql.raw(time)} > ${settled.until}::bigint)`;
  const { rows } = await db.execute<Counts>(sql`
    with clock as materialized (select ${nowMs} as now, ${nowMs} - ${SETTLED_MS} as settled)
    select now, settled, ${after("llm_tasks", "created_at")} as tasks, ${after("leases", "started_at")} as leases,
      json_build_object(${sql.join(COUNTED.map(countOf), sql`, `)}) as by_status,
      (select count(*) from leases where status = 'active')::int as active,
      (select coalesce(sum(tasks_removed), 0) from runtime_retention)::float8 as removed,
      (select json_build_object('total', count(*), 'online', count(*) filter (where status = 'online')) from workers) as workers
    from clock`);
  const [row] = rows;
  if (!row) throw new Error("The counting gave no row.");
  const total = settled.tasks + row.tasks.all;
  const others = Object.values(row.by_status).reduce((sum, tasks) => sum + tasks, 0);
  const byStatus = Object.entries({ ...row.by_status, [UNCOUNTED]: total - others }).filter(([, tasks]) => tasks > 0);
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
    removed: row.removed,
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
  removed: number;
  workers: Stats["workers"];
};

/** The status stands in the text of the query, so that the planner knows how many rows it has. */
const countOf = (status: TaskStatus) =>
  sql.raw(`'${status}', (select count(*) from llm_tasks where status = '${status}')`);
