import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";

/**
 * Runs `record` after a change was committed, to write down what the change says of a worker, or to remove what the change has taken over. `what`
 * names the change for the log. Never rejects: a failure is logged, and the caller is still told that its change was made.
 */
export async function runAfterCommit(
  db: Db,
  caller: Caller | undefined,
  what: string,
  record: (what: string) => Promise<void>,
): Promise<void> {
  try {
    await record(what);
  } catch (error) {
    const requestId = caller?.requestId;
    db.log.warn({ err: error, requestId }, `a step after a ${what} failed; the ${what} itself is committed`);
  }
}
