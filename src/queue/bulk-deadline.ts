/**
 * Until when a call that makes or changes many tasks is answered, as the process's time: a proxy may give up after 30 s. What is done by then stays
 * done, and the answer tells what is left.
 */
export const bulkDeadline = (): number => performance.now() + LONGEST_CALL_MS;

const LONGEST_CALL_MS = 20_000;

/** How many milliseconds are left until then. */
export const leftUntil = (endAt: number): number => Math.max(0, endAt - performance.now());
