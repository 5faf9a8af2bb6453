import { sql } from "drizzle-orm";
import type { Db } from "./client.ts";

/**
 * The database's clock in epoch milliseconds, at the start of the running statement (lifecycle.md, invariant 6).
 * Not `now()`: that is the start of the transaction, which lies before the wait for a lock. Not `clock_timestamp()`: it is volatile,
 * so that no index could be used with it.
 */
export const nowMs = sql<number>`floor(extract(epoch from statement_timestamp()) * 1000)::bigint`.mapWith(Number);

/** Reads the database's clock, in epoch milliseconds. */
export async function databaseTime(db: Db): Promise<number> {
  const [clock] = await db.select({ now: nowMs }).from(sql`(select) as one`);
  if (!clock) throw new Error("The database gave no time.");
  return clock.now;
}
