import { type Attention, MOST } from "../contract/overview.ts";
import { workerView } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { listAccountsAtLimitFirst } from "../fleet/accounts.ts";
import { listWorkersInTrouble } from "../fleet/workers.ts";
import { findLatelyFailed } from "./lately-failed.ts";

/**
 * Gives a function that reads what needs a person's attention. Callers share a reading, which begins only after each of them has asked: so a person
 * who has just mended something sees that. Any number of callers costs two readings at most.
 */
export function openAttention(db: Db): () => Promise<Attention> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<Attention> | undefined;
  const begin = () => {
    next = undefined;
    const reading = readAttention(db);
    // A failure goes to the callers of this reading; the next one does not depend on it.
    running = reading.catch(() => {});
    return reading;
  };
  return () => {
    next ??= running.then(begin);
    return next;
  };
}

async function readAttention(db: Db): Promise<Attention> {
  const [accounts, inTrouble, failures] = await Promise.all([
    listAccountsAtLimitFirst(db, MOST.accounts),
    listWorkersInTrouble(db, MOST.workersOfEachKind),
    findLatelyFailed(db, MOST.failures),
  ]);
  return { accounts, workers_in_trouble: inTrouble.map(workerView), failures };
}
