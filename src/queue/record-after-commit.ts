import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";

/**
 * Runs `record` after a change was committed, to write down what the change says of a worker. `what` names the change for the log. Never rejects: a
 * failure is logged, and the caller is still told that its change was made.
 */
export async function recordAfterCommit(
  db: Db,
  caller: Caller | undefined,
  what: string,
  record: (what: string) => Promise<void>,
): Promise<void> {
  try {
    await record(what);
  } catch (error) {
    const requestId = caller?.requestId;
    db.log.warn({ err: error, requestId }, `what a ${what} says of its worker was not written down`);
  }
}
