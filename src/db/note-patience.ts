import type { Db } from "./client.ts";

/** How long a note waits for its place (lock-waits.ts). What was sent has a second at least (`endingAt`). */
const PLACE_WITHIN_MS = 500;

/** The same database for a note, which its caller waits for and can do without: it is given up after a second or so. */
export const forNote = (db: Db): Db => db.endingAt(performance.now() + PLACE_WITHIN_MS);
