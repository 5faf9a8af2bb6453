import { sql } from "drizzle-orm";

/**
 * The database's clock in epoch milliseconds, at the start of the running statement (lifecycle.md, invariant 6).
 * Not `now()`: that is the start of the transaction, which lies before the wait for a lock. Not `clock_timestamp()`: it is volatile,
 * so that no index could be used with it.
 */
export const nowMs = sql<number>`floor(extract(epoch from statement_timestamp()) * 1000)::bigint`.mapWith(Number);
