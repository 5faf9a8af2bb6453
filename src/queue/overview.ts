import { sql } from "drizzle-orm";
import { MOST, type OverviewNumbers } from "../contract/overview.ts";
import type { Stats } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { runtimeArtifacts, TRANSCRIPT } from "../db/output-tables.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/task-tables.ts";
import { hasLabels, isDrained } from "../fleet/matching.ts";
import { readGauges } from "./gauges.ts";
import { KEPT_PER_READING } from "./stats.ts";

/** The numbers are kept for 20 times the time that reading them took, at least 1 s and at most 5 s. */
const SHORTEST_MS = 1_000;
const LONGEST_MS = 5_000;

const MINUTES = 60;
const MINUTE_MS = 60_000;
/** How many of the tasks that wait for longest are looked at. */
const LOOKED_AT = 1_000;

/** Gives a function that reads how the work goes, in numbers. Callers at the same time share a reading. */
export function openOverview(db: Db, stats: () => Promise<Stats>): () => Promise<OverviewNumbers> {
  let reading: Promise<OverviewNumbers> | undefined;
  let freshUntil = 0;
  return () => {
    if (reading && performance.now() < freshUntil) return reading;
    const began = performance.now();
    freshUntil = Number.POSITIVE_INFINITY;
    reading = read(db, stats).finally(() => {
      const now = performance.now();
      freshUntil = now + Math.min(LONGEST_MS, Math.max(SHORTEST_MS, (now - began) * KEPT_PER_READING));
    });
    // A failure goes to every caller of this reading. The next caller reads anew.
    reading.catch(() => {
      freshUntil = 0;
    });
    return reading;
  };
}

async function read(db: Db, stats: () => Promise<Stats>): Promise<OverviewNumbers> {
  const [counts, { oldest_due_ms, slots }, ended_by_minute, untakeable] = await Promise.all([
    stats(),
    readGauges(db),
    countEndedByMinute(db),
    findUntakeable(db),
  ]);
  return { counts, oldest_due_ms, slots, ended_by_minute, untakeable };
}

/** Counts artifacts, since every attempt that ends with a result makes one at that time. */
async function countEndedByMinute(db: Db): Promise<number[]> {
  const { rows } = await db.execute<{ ago: number; ended: number }>(sql`
    with clock as materialized (select ${nowMs} as now)
    select ((clock.now - created_at) / ${MINUTE_MS}::int)::int as ago, count(*)::int as ended from ${runtimeArtifacts}, clock
    where created_at > clock.now - ${MINUTES * MINUTE_MS}::int and created_at <= clock.now and type <> ${TRANSCRIPT} group by 1`);
  const ended = new Map(rows.map((row) => [row.ago, row.ended]));
  return Array.from({ length: MINUTES }, (_, minute) => ended.get(MINUTES - 1 - minute) ?? 0);
}

/** Two CTEs: the tasks that wait for longest, and the same by the set of labels that they require. */
const labelSets = sql`first as (
      select ${llmTasks.id} as id, ${llmTasks.requires} as requires, ${takeableFrom(llmTasks)} as since from ${llmTasks}
      where ${llmTasks.status} = 'queued' and ${takeableFrom(llmTasks)} <= ${nowMs} order by ${takeableFrom(llmTasks)} limit ${LOOKED_AT}
    ), label_sets as (
      select requires, count(*)::int as tasks, (array_agg(id order by since, id))[1] as example, min(since)::float8 as since
      from first group by requires
    )`;

/** The label sets whose oldest task waits longest, whether or not anybody can take it: the first `MOST.untakeable`, each with that task. */
export async function findLongestWaiting(db: Db): Promise<{ tasks: number; example: string; since: number }[]> {
  const { rows } = await db.execute<{ tasks: number; example: string; since: number }>(sql`
    with ${labelSets}
    select tasks, example, since from label_sets order by since limit ${MOST.untakeable}`);
  return rows;
}

/**
 * The tasks that wait for longest, where no online worker that is not drained has their labels, by their set of labels; the set that waits for
 * longest comes first.
 */
export async function findUntakeable(db: Db): Promise<OverviewNumbers["untakeable"]> {
  const fits = sql`${workers.status} = 'online' and ${hasLabels(sql`label_sets.requires`)}`;
  const { rows } = await db.execute<OverviewNumbers["untakeable"][number]>(sql`
    with ${labelSets}
    select requires, (
      select coalesce(jsonb_agg(id order by id), '[]') from (
        select ${workers.id} as id from ${workers} where ${fits} order by ${workers.id} limit ${MOST.drained}
      ) as drained
    ) as drained, tasks, example, since from label_sets
    where not exists (select from ${workers} where ${fits} and not ${isDrained})
    order by since limit ${MOST.untakeable}`);
  return rows;
}
