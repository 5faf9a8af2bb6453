/**
 * In SQL, the timeline on which the server takes changes: 8 hexadecimal digits, or null on a standby. Each promotion begins a new one. These are the
 * first digits of a WAL file's name; the timeline in pg_control may be older, since it is that of the last checkpoint.
 */
export const TIMELINE = "case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end";

/** The number of such a timeline. */
export const timelineNumber = (digits: string): number => Number.parseInt(digits, 16);
