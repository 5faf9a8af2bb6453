import { setTimeout as delay } from "node:timers/promises";
import { Unavailable } from "../errors.ts";

const ATTEMPTS = 8;
/** Those who met in a deadlock do not come back at the same moment. */
const LONGEST_PAUSE_MS = 20;

/** Runs `work`, and again as long as it fails with what `isAgain` says, eight times in all. Unavailable: others were faster each time. */
export async function repeatedly<T>(work: () => Promise<T>, isAgain: (error: unknown) => boolean): Promise<T> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isAgain(error)) throw error;
    }
    await delay(Math.random() * LONGEST_PAUSE_MS);
  }
  throw new Unavailable("Too many others are changing the same thing now. Nothing was changed; try again.");
}
