/** How a database says on which timeline it takes changes: 8 hexadecimal digits. Each promotion of a standby begins a new one. */

/**
 * In SQL, the timeline; null on a standby. It is for a database that may not be migrated yet: a server that refuses these functions, as some managed
 * ones do, fails with an error of which `isFunctionRefused` (faults.ts) is true.
 */
export const TIMELINE = "case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end";

/** In SQL, the timeline in a database that is migrated: `UNKNOWN_TIMELINE` where the server refuses the functions. */
export const STORED_TIMELINE = "bloom_runtime.timeline()";

/** The number of the timeline on a server that does not say it. */
export const UNKNOWN_TIMELINE = 0;

/** In SQL, the digits of `UNKNOWN_TIMELINE`; null on a standby. */
export const UNSAID_TIMELINE = `case when not pg_is_in_recovery() then '${String(UNKNOWN_TIMELINE).padStart(8, "0")}' end`;

/** The number of the timeline with these digits. */
export const timelineNumber = (digits: string): number => Number.parseInt(digits, 16);
