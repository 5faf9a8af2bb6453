/** CLI sessions: the last one of each context on each worker, so that a task may go on where an earlier one ended. */
import { and, eq, inArray } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { cliSessions } from "../db/fleet-tables.ts";

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
    .onConflictDoUpdate({ target: [cliSessions.worker_id, cliSessions.context_id], set: session });
}

/** The sessions that the worker has of these contexts, by context. */
export async function sessionsOf(db: Db, workerId: string, contextIds: string[]): Promise<Map<string, string>> {
  if (contextIds.length === 0) return new Map();
  const found = await db
    .select({ context_id: cliSessions.context_id, session_id: cliSessions.session_id })
    .from(cliSessions)
    .where(and(eq(cliSessions.worker_id, workerId), inArray(cliSessions.context_id, contextIds)));
  return new Map(found.map(({ context_id, session_id }) => [context_id, session_id]));
}
