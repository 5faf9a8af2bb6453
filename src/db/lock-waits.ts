import { openPlaces } from "../places.ts";
import { NoPlaceToWait } from "./faults-found-here.ts";
import { type FindLocked, openTablePlaces } from "./last-connection-for-reads.ts";

/**
 * What a work in the database may wait for while somebody has it locked: rows; only whole tables, as batches, which pass over locked rows; only
 * the tables that a statement with this text reads; or nothing. A note is a short change that many calls make of themselves and can do without,
 * such as the count for a limit: notes never take the places of others.
 */
export type WaitsFor = "rows" | "tables" | { reads: string } | "note" | "nothing";

/**
 * The pool keeps three connections from what waits for rows, so that batches and reads find one, two from all changes, so that reads find one, two
 * from reads of a wholly locked table, so that changes and other reads find one (last-connection-for-reads.ts), and four from notes. While somebody had
 * 30 tasks locked, calls of several kinds for them took all six connections, and all others got 503 for 5 s. While somebody had the counts of the
 * limits locked, these took all six.
 */
const NOT_FOR_ROWS = 3;
const NOT_FOR_CHANGES = 2;
const NOT_FOR_NOTES = 4;
/** A statement that waits for a lock is given up after 8 s, so that its place is free again. */
const PLACE_WITHIN_MS = 10_000;

/** The places in the pool for what may wait for locks. */
export interface LockPlaces {
  /** Takes a place; the function that it gives leaves it again, and is called once. NoPlaceToWait: there was none in 10 s, or in `withinMs`. */
  take(waitsFor: WaitsFor, withinMs?: number): Promise<() => void>;
  /** How many wait for a place now. */
  waiting(): number;
}

/**
 * Opens the places of a pool of `poolMax` connections; `findLocked` asks the server which tables are locked (LOCKED_TABLES). A small pool keeps back
 * fewer, so that each kind has at least one place.
 */
export function openLockPlaces(poolMax: number, findLocked: FindLocked): LockPlaces {
  const places = (kept: number) => openPlaces(Math.max(1, poolMax - kept), PLACE_WITHIN_MS, () => new NoPlaceToWait());
  const forTables = openTablePlaces(poolMax, findLocked);
  const forChanges = places(NOT_FOR_CHANGES);
  const forRows = places(NOT_FOR_ROWS);
  const forNotes = places(NOT_FOR_NOTES);
  const needed = { rows: [forRows, forChanges], tables: [forChanges] };
  return {
    async take(waitsFor, withinMs = Infinity) {
      if (waitsFor === "nothing") return () => {};
      const until = performance.now() + Math.min(withinMs, PLACE_WITHIN_MS);
      const leftMs = () => Math.max(0, until - performance.now());
      if (waitsFor === "note") return await forNotes.take(leftMs());
      if (typeof waitsFor === "object") return await forTables.take(waitsFor.reads, leftMs());
      const taken: (() => void)[] = [];
      const leave = () => {
        for (const each of taken) each();
      };
      try {
        for (const each of needed[waitsFor]) taken.push(await each.take(leftMs()));
        taken.push(await forTables.take(undefined, leftMs()));
        return leave;
      } catch (error) {
        leave();
        throw error;
      }
    },
    waiting: () => [forTables, forChanges, forRows, forNotes].reduce((sum, each) => sum + each.waiting(), 0),
  };
}

/** What SQL may wait for, by its text: whether it changes rows, and whether it passes over locked ones. */
export function waitsForByText(text: string): WaitsFor {
  if (/\b(?:insert into|update|delete from)\b/i.test(text)) return text.includes("skip locked") ? "tables" : "rows";
  return { reads: text };
}
