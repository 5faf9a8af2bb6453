import type { Db } from "./client.ts";
import { mustBeginAgain, repeatWhile } from "./retry.ts";

/** What runs a transaction once: `Db`, or Drizzle as it comes. */
interface Transacting<Tx> {
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

/**
 * Runs `work` in one READ COMMITTED transaction (lifecycle.md, invariant 3). A deadlock, a serialization failure or a StaleView has rolled
 * everything back, so `work` runs again, eight times in all; it must therefore do nothing that the transaction does not undo.
 * Overtaken: others were faster each time.
 */
export async function inTransaction<T, Tx = Db>(db: Transacting<Tx>, work: (tx: Tx) => Promise<T>): Promise<T> {
  return repeatWhile(() => db.transaction(work), mustBeginAgain);
}
