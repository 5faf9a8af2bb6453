/** The pace of accounts at LLM providers: an account whose allowance is nearly used gets one task at a time, over all the workers that share it. */
import { sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { leases } from "../db/task-tables.ts";

/** The account of a worker: its own name where it has named none. */
export const accountOf = sql<string>`coalesce(${workers.account}, ${workers.id})`;

/** True in SQL for a worker whose account gets one task at a time now. */
export const isPaced = sql`coalesce(${workers.account_paced_until} > ${nowMs}, false)`;

/**
 * True in SQL when nobody works with the worker's account. Nothing is locked. The accounts at work are the same for every worker, so that the
 * database collects them once, and only when a worker is paced. A subquery for each worker made PostgreSQL compile the query first (JIT) from 11,400
 * workers on, and a pass of auto-dispatch took seconds.
 */
export const isAccountIdle = sql`${accountOf} not in (select coalesce(peer.account, peer.id) from ${leases} as held
  join ${workers} as peer on peer.id = held.worker_id where held.status = 'active')`;

/**
 * True when the worker's account may get another task now, for the WHERE of an UPDATE that leases one. The database function locks the account
 * and looks again, so that two leases at the same moment do not both find it idle. It comes after the lock of the worker (lifecycle.md, invariant 4).
 */
export const isAccountFree = sql`(not ${isPaced} or bloom_runtime.account_is_idle(${accountOf}))`;
