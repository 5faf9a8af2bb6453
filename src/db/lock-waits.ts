import { openPlaces } from "../concurrency-limit.ts";
import { NoPlaceToWait } from "./fault-classes.ts";

/**
 * What a work in the database may wait for while somebody has it locked: rows; only whole tables, as batches, which pass over locked rows; or nothing,
 * as reads, which wait for few locks of tables.
 */
export type WaitsFor = "rows" | "tables" | "nothing";

/**
 * The pool keeps two connections from what waits for rows, so that batches and reads find one, and one from all changes, so that reads find one.
 * While somebody had 30 tasks locked, calls of several kinds for them took all six connections, and all others got 503 for 5 s.
 */
const NOT_FOR_ROWS = 2;
const NOT_FOR_CHANGES = 1;
/** A statement that waits for a lock is given up after 8 s, so that its place is free again. */
const PLACE_WITHIN_MS = 10_000;

/** The places in the pool for what may wait for locks. */
export interface LockPlaces {
  /** Takes a place; the function that it gives leaves it again, and is called once. NoPlaceToWait: there was none in 10 s, or in `withinMs`. */
  take(waitsFor: WaitsFor, withinMs?: number): Promise<() => void>;
  /** How many wait for a place now. */
  waiting(): number;
}

/** Opens the places of a pool of `poolMax` connections. A pool of two keeps one for statements that wait for no rows; a pool of one cannot. */
export function openLockPlaces(poolMax: number): LockPlaces {
  const places = (kept: number) => openPlaces(Math.max(1, poolMax - kept), PLACE_WITHIN_MS, noPlace);
  const forRows = places(NOT_FOR_ROWS);
  const forChanges = places(poolMax > NOT_FOR_ROWS ? NOT_FOR_CHANGES : 0);
  return {
    async take(waitsFor, withinMs = Infinity) {
      if (waitsFor === "nothing") return () => {};
      const patienceMs = Math.min(withinMs, PLACE_WITHIN_MS);
      if (waitsFor === "tables") return await forChanges.take(patienceMs);
      const until = performance.now() + patienceMs;
      const leaveRows = await forRows.take(patienceMs);
      try {
        const leaveChanges = await forChanges.take(Math.max(0, until - performance.now()));
        return () => {
          leaveChanges();
          leaveRows();
        };
      } catch (error) {
        leaveRows();
        throw error;
      }
    },
    waiting: () => forRows.waiting() + forChanges.waiting(),
  };
}

const noPlace = () => new NoPlaceToWait();

/** What SQL may wait for, by its text: whether it changes rows, and whether it passes over locked ones. */
export function waitsForByText(text: string): WaitsFor {
  if (!/\b(?:insert into|update|delete from)\b/i.test(text)) return "nothing";
  return text.includes("skip locked") ? "tables" : "rows";
}
