import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";

/**
 * Runs `step` now, and logs its failure instead of throwing. Call it once a change is committed, for what follows from the change: to write down what
 * it says of a worker, or to remove what it has taken over. The caller is told that its change was made, whatever becomes of the step. `what` names
 * the change for the log.
 */
export async function runOrLog(
  db: Db,
  caller: Caller | undefined,
  what: string,
  step: (what: string) => Promise<void>,
): Promise<void> {
  try {
    await step(what);
  } catch (error) {
    const requestId = caller?.requestId;
    db.log.warn({ err: error, requestId }, `a step after a ${what} failed; the ${what} itself is committed`);
  }
}
