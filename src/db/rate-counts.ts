/** Hits counted in the database, so that a limit holds over all instances. */
import { lt, sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { nowMs } from "./clock.ts";
import { forNote } from "./note-patience.ts";
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
  { waitsFor: "note" },
);

const TAKE_BACK = statement<never, { key: string }>(
  "take_hit_back",
  sql`update ${rateCounts} set hits = hits - 1 where key = ${sql.placeholder("key")} and hits > 0 and ends_at > ${nowMs}`,
  { waitsFor: "note" },
);

/**
 * Counts one hit of `key`; the first one begins a window of `windowMs` milliseconds. Every call waits for its count, so that a count that is not
 * there within a second or so is given up as one of a database that does not answer: while somebody had the table locked, counts took all
 * connections, and health came 10 s late.
 */
export async function countHit(db: Db, key: string, windowMs: number): Promise<HitCount> {
  const [count] = await COUNT(forNote(db), { key, windowMs });
  if (!count) throw new Error("A hit was counted, and the database gave no count.");
  return count;
}

/** Takes one hit of `key` back, with no more patience than `countHit`. */
export async function takeHitBack(db: Db, key: string): Promise<void> {
  await TAKE_BACK(forNote(db), { key });
}

/** Forgets the windows that are over, and gives their number. */
export async function forgetPastHits(db: Db): Promise<number> {
  const { rowCount } = await db.delete(rateCounts).where(lt(rateCounts.ends_at, nowMs));
  return rowCount ?? 0;
}
