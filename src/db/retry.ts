import { setTimeout as delay } from "node:timers/promises";
import { isRepeatable } from "./faults.ts";
import { Overtaken } from "./faults-found-here.ts";

const ATTEMPTS = 8;
/** The pauses have random lengths, so that two transactions that met in a deadlock do not meet again. */
const LONGEST_PAUSE_MS = 20;

/** Thrown by work that must begin again, since what it has read is older than the lock that it has waited for. */
export class StaleView extends Error {}

/** True when the work was rolled back and may run again: after a deadlock, a serialization failure or a StaleView. */
export const mustBeginAgain = (error: unknown) => error instanceof StaleView || isRepeatable(error);

/** Runs `work` again as long as `isAgain` says so of its error, `attempts` times in all. Overtaken: others were faster each time. */
export async function repeatWhile<T>(
  work: () => Promise<T>,
  isAgain: (error: unknown) => boolean,
  attempts = ATTEMPTS,
): Promise<T> {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isAgain(error)) throw error;
    }
    await delay(Math.random() * LONGEST_PAUSE_MS);
  }
  throw new Overtaken();
}
