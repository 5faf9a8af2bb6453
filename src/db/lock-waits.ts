import { Unavailable } from "../errors.ts";
import { type Limited, limitConcurrency } from "./concurrency-limit.ts";

/**
 * Connections that transactions, and statements that wait for locks, leave to batches and reads, which do not. While somebody had 30 tasks locked, calls
 * of several kinds for them took all six connections, and all others got 503 for 5 s.
 */
const LEFT_TO_OTHERS = 2;
/** As long as for a connection. A statement that waits for a lock is given up after 8 s, so that its place is free again. */
const PLACE_WITHIN_MS = 10_000;

/** Runs works that may wait for locks, as many at a time as leave connections of the pool to others. Unavailable: a work got no place in 10 s. */
export const limitLockWaits = (poolMax: number): Limited =>
  limitConcurrency(Math.max(1, poolMax - LEFT_TO_OTHERS), PLACE_WITHIN_MS, noPlace);

const noPlace = () =>
  new Unavailable(
    "Too many others wait for something that is locked in the database. Nothing was changed; try again shortly.",
  );
