import { Refused } from "../client/index.ts";

const FIRST_MS = 2_000;
const LONGEST_MS = 60_000;
/** A proxy may ask for any time; a timer of more than 24 days would end at once. */
const LONGEST_ASKED_MS = 3_600_000;

/** How many milliseconds after this number of failures in a row a reading is tried again by itself; undefined: it would be refused again. */
export function retryMsOf(fault: unknown, failures: number): number | undefined {
  if (fault instanceof Refused) {
    if (fault.status < 500 && fault.status !== 429) return undefined;
    if (fault.retryAfterSeconds !== undefined) return Math.min(LONGEST_ASKED_MS, fault.retryAfterSeconds * 1_000);
  }
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
}
