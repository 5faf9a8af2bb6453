/** How long a delivery is tried, and when. */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** How long a delivery is tried, from when it was queued or sent again: three days. */
export const RETRY_MS = 72 * HOUR;
/** How long a delivery can be read and sent again, from when it was queued. */
export const KEPT_MS = 7 * 24 * HOUR;

/** The delays after failed attempts, in their order. The last delay comes again and again. */
const DELAYS_MS = [5 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR];
const JITTER = 0.2;

/** The delay before the attempt that follows the failed attempt number `attempts`, in milliseconds, varied by up to a fifth. */
export function delayAfter(attempts: number): number {
  const delay = DELAYS_MS[Math.min(attempts, DELAYS_MS.length) - 1] ?? 0;
  return Math.round(delay * (1 - JITTER + 2 * JITTER * Math.random()));
}

/** A target rests only after more failures in a row than this: fewer may have been one bad moment. */
const FREE_FAILURES = 2;
const FIRST_REST_MS = 10 * SECOND;
const LONGEST_REST_MS = 5 * MINUTE;

/** How long a target rests after this number of failures in a row. After each rest, one call finds out whether the target is well again. */
export function restAfter(failures: number): number {
  if (failures <= FREE_FAILURES) return 0;
  return Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (failures - FREE_FAILURES - 1));
}

/** A `Retry-After` counts up to this. */
const LONGEST_RETRY_AFTER_MS = 24 * HOUR;

/** What a `Retry-After` asks for, seconds or a date, in milliseconds from `now`; 0 where it asks for nothing. */
export function retryAfterMs(header: string | null, now = Date.now()): number {
  if (header === null) return 0;
  const asked = /^\d{1,9}$/.test(header.trim()) ? Number(header) * SECOND : Date.parse(header) - now;
  return Number.isFinite(asked) ? Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, asked)) : 0;
}
