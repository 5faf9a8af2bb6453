/** Hits counted in the database, so that a limit holds over all instances. */
import { lt, sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { nowMs } from "./clock.ts";
import { rateCounts } from "./rate-count-table.ts";
import { statement } from "./statement.ts";

/** The hits of a key in the window that runs, and how long that still runs. */
export interface HitCount {
  hits: number;
  endsInMs: number;
}

const COUNT = statement<HitCount, { key: string; windowMs: number }>(
  "count_hit",
  sql`insert into ${rateCounts} as counted (key, hits, ends_at)
    values (${sql.placeholder("key")}::text, 1, ${nowMs} + ${sql.placeholder("windowMs")}::bigint)
    on conflict (key) do update set
      hits = case when counted.ends_at <= ${nowMs} then 1 else counted.hits + 1 end,
      ends_at = case when counted.ends_at <= ${nowMs} then excluded.ends_at else counted.ends_at end
    returning hits, ends_at - ${nowMs} as "endsInMs"`,
  // Every call counts, and nothing holds these rows for long.
  { waitsFor: "nothing" },
);

/** Counts one hit of `key`; the first one begins a window of `windowMs` milliseconds. */
export async function countHit(db: Db, key: string, windowMs: number): Promise<HitCount> {
  const [count] = await COUNT(db, { key, windowMs });
  if (!count) throw new Error("A hit was counted, and the database gave no count.");
  return count;
}

/** Takes one hit of `key` back. */
export async function takeHitBack(db: Db, key: string): Promise<void> {
  await db
    .update(rateCounts)
    .set({ hits: sql`${rateCounts.hits} - 1` })
    .where(sql`${rateCounts.key} = ${key} and ${rateCounts.hits} > 0 and ${rateCounts.ends_at} > ${nowMs}`);
}

/** Forgets the windows that are over, and gives their number. */
export async function forgetPastHits(db: Db): Promise<number> {
  const { rowCount } = await db.delete(rateCounts).where(lt(rateCounts.ends_at, nowMs));
  return rowCount ?? 0;
}
