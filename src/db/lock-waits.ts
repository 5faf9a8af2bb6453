import { openPlaces, type Places } from "../concurrency-limit.ts";
import { Unavailable } from "../errors.ts";

/**
 * So many connections of the pool are never used by what may wait for a lock, so that batches and reads find one. While somebody had 30 tasks locked,
 * calls of several kinds for them took all six connections, and all others got 503 for 5 s.
 */
const LEFT_TO_OTHERS = 2;
/** A statement that waits for a lock is given up after 8 s, so that its place is free again. */
const PLACE_WITHIN_MS = 10_000;

/** The places of what may wait for a lock: one at least, where the pool is as small as that. Unavailable: there was none in 10 s. */
export const openLockPlaces = (poolMax: number): Places =>
  openPlaces(Math.max(1, poolMax - LEFT_TO_OTHERS), PLACE_WITHIN_MS, noPlace);

const noPlace = () =>
  new Unavailable(
    "Too many others wait for something that is locked in the database. Nothing was changed; try again shortly.",
  );

/** True for SQL that may wait for a row which somebody else has locked: it changes or locks rows, and does not pass over those that are locked. */
export const mayWaitForLocks = (text: string): boolean =>
  /\b(?:insert into|update|delete from)\b/i.test(text) && !text.includes("skip locked");
