import { openPlaces, type Places } from "../places.ts";
import { NoPlaceToWait } from "./faults-found-here.ts";

/**
 * What a work in the database may wait for while somebody has it locked: rows; only whole tables, as batches, which pass over locked rows; only
 * whole tables that it reads; or nothing, as reads that use no table of tasks.
 */
export type WaitsFor = "rows" | "tables" | "tables to read" | "nothing";

/**
 * The pool keeps three connections from what waits for rows, so that batches and reads find one, two from all changes, so that reads find one,
 * and one from all that uses a table of tasks, so that calls that need none find one. While somebody had 30 tasks locked, calls of several kinds
 * for them took all six connections, and all others got 503 for 5 s; 12 lists of tasks did so while the table was wholly locked.
 */
const NOT_FOR_ROWS = 3;
const NOT_FOR_CHANGES = 2;
const NOT_FOR_TASKS = 1;
/** A statement that waits for a lock is given up after 8 s, so that its place is free again. */
const PLACE_WITHIN_MS = 10_000;

/** The places in the pool for what may wait for locks. */
export interface LockPlaces {
  /** Takes a place; the function that it gives leaves it again, and is called once. NoPlaceToWait: there was none in 10 s, or in `withinMs`. */
  take(waitsFor: WaitsFor, withinMs?: number): Promise<() => void>;
  /** How many wait for a place now. */
  waiting(): number;
}

/** Opens the places of a pool of `poolMax` connections. A small pool keeps back fewer, so that each kind has at least one place. */
export function openLockPlaces(poolMax: number): LockPlaces {
  const places = (kept: number) => openPlaces(Math.max(1, poolMax - kept), PLACE_WITHIN_MS, noPlace);
  const forTasks = places(poolMax > NOT_FOR_CHANGES ? NOT_FOR_TASKS : 0);
  const forChanges = places(NOT_FOR_CHANGES);
  const forRows = places(NOT_FOR_ROWS);
  const needed: Record<WaitsFor, Places[]> = {
    nothing: [],
    "tables to read": [forTasks],
    tables: [forChanges, forTasks],
    rows: [forRows, forChanges, forTasks],
  };
  return {
    async take(waitsFor, withinMs = Infinity) {
      const until = performance.now() + Math.min(withinMs, PLACE_WITHIN_MS);
      const taken: (() => void)[] = [];
      const leave = () => {
        for (const each of taken) each();
      };
      try {
        for (const each of needed[waitsFor]) taken.push(await each.take(Math.max(0, until - performance.now())));
        return leave;
      } catch (error) {
        leave();
        throw error;
      }
    },
    waiting: () => [forTasks, forChanges, forRows].reduce((sum, each) => sum + each.waiting(), 0),
  };
}

const noPlace = () => new NoPlaceToWait();

/** What SQL may wait for, by its text: whether it changes rows, whether it passes over locked ones, and whether it reads a table of tasks. */
export function waitsForByText(text: string): WaitsFor {
  if (/\b(?:insert into|update|delete from)\b/i.test(text)) return text.includes("skip locked") ? "tables" : "rows";
  return /\b(?:llm_tasks|leases)\b/.test(text) ? "tables to read" : "nothing";
}
