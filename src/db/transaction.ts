import { setTimeout as delay } from "node:timers/promises";
import { DatabaseError } from "pg";
import { Unavailable } from "../errors.ts";
import type { Db } from "./client.ts";

const ATTEMPTS = 8;
/** Those who met in a deadlock do not come back at the same moment. */
const LONGEST_PAUSE_MS = 20;
const SERIALIZATION_FAILURE = "40001";
const DEADLOCK_DETECTED = "40P01";

/** Thrown inside a transaction to roll it back and run it again from its start, on a newer view of the data. */
export class StaleView extends Error {}

/** The driver's error under what Drizzle wraps around it, if there is one. */
export function databaseErrorOf(error: unknown): DatabaseError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof DatabaseError) return cause;
  }
  return undefined;
}

/**
 * Runs `work` in one READ COMMITTED transaction (lifecycle.md, invariant 3). A deadlock, a serialization failure or a StaleView has rolled
 * everything back, so `work` runs again, eight times in all; it must therefore do nothing that the transaction does not undo.
 * Unavailable: others were faster each time.
 */
export async function inTransaction<T>(db: Db, work: (tx: Db) => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      return await db.transaction(work);
    } catch (error) {
      const code = databaseErrorOf(error)?.code;
      if (!(error instanceof StaleView) && code !== SERIALIZATION_FAILURE && code !== DEADLOCK_DETECTED) throw error;
    }
    await delay(Math.random() * LONGEST_PAUSE_MS);
  }
  throw new Unavailable("Too many others are changing the same thing now. Nothing was changed; try again.");
}
