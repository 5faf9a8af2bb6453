/** CLI sessions: the last one of each context on each worker, so that a task may go on where an earlier one ended. */
import { and, eq, inArray, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { cliSessions } from "../db/fleet-tables.ts";
import { newestSessionsWorker } from "../fleet/newest-session.ts";

/** How long a session is kept that no task has used. */
const KEPT_UNUSED_MS = 30 * 86_400_000;
const PER_PASS = 1_000;

/** Keeps the session in which the worker served the context last, and what all of it has cost, in dollars; null where that is not known. */
export async function recordSession(
  db: Db,
  workerId: string,
  contextId: string,
  sessionId: string,
  costUsd: number | null,
): Promise<void> {
  const session = { session_id: sessionId, cost_usd: costUsd, updated_at: nowMs };
  await db
    .insert(cliSessions)
    .values({ worker_id: workerId, context_id: contextId, ...session })
    .onConflictDoUpdate({ target: [cliSessions.context_id, cliSessions.worker_id], set: session });
}

/**
 * The sessions that the worker may go on with, by context: of these contexts, those in which no other worker has a newer one. An older session
 * lacks what was said since.
 */
export async function sessionsOf(db: Db, workerId: string, contextIds: string[]): Promise<Map<string, string>> {
  if (contextIds.length === 0) return new Map();
  const found = await db
    .select({ context_id: cliSessions.context_id, session_id: cliSessions.session_id })
    .from(cliSessions)
    .where(
      and(
        eq(cliSessions.worker_id, workerId),
        inArray(cliSessions.context_id, contextIds),
        eq(cliSessions.worker_id, newestSessionsWorker(sql`${cliSessions.context_id}`)),
      ),
    );
  return new Map(found.map(({ context_id, session_id }) => [context_id, session_id]));
}

/** Forgets sessions that no task has used for 30 days, 1,000 at most; gives how many. */
export async function forgetSessions(db: Db): Promise<number> {
  const { rows } = await db.execute<{ forgotten: number }>(sql`
    with unused as (
      select worker_id, context_id from ${cliSessions} where updated_at < ${nowMs} - ${KEPT_UNUSED_MS}
      order by updated_at limit ${PER_PASS} for update skip locked
    ), forgotten as (
      delete from ${cliSessions} as s using unused where s.worker_id = unused.worker_id and s.context_id = unused.context_id returning 1
    )
    select count(*)::int as forgotten from forgotten`);
  return rows[0]?.forgotten ?? 0;
}
