import type { Db } from "../db/client.ts";

/**
 * Runs `record` for what has been committed: it writes down what that says of a worker. Never rejects: its failure is logged, and the caller
 * is answered the success that it has.
 */
export async function afterCommit(db: Db, what: string, record: (what: string) => Promise<void>): Promise<void> {
  try {
    await record(what);
  } catch (error) {
    const requestId = db.caller?.requestId;
    db.log.warn({ err: error, requestId }, `what a ${what} says of its worker was not written down`);
  }
}
