import { and, eq, or, type SQL, sql } from "drizzle-orm";
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { cliSessions } from "../db/fleet-tables.ts";
import { leases } from "../db/task-tables.ts";
import type { SubmittedResult } from "./submitted-result.ts";

/**
 * What Claude says a run cost is the cost of its whole session, earlier runs included. Where this run went on with the session of the
 * worker's last run in the task's context, subtracts what that run said, so that the run's own cost stays, in dollars.
 */
export async function withOwnCost(db: Db, task: Task, submitted: SubmittedResult): Promise<SubmittedResult> {
  const { request } = submitted;
  const { session_id, cost_usd: total } = request.metrics;
  if (total === undefined || session_id === undefined || task.worker_id === null) return submitted;
  const isSame = eq(cliSessions.session_id, session_id);
  const [before] = await db
    .select({ cost_usd: cliSessions.cost_usd })
    .from(cliSessions)
    .where(
      and(
        eq(cliSessions.worker_id, task.worker_id),
        eq(cliSessions.context_id, task.context_id),
        // A session that was resumed may have got another name.
        task.resume ? or(isSame, wasNewestAtLease(request.lease_id ?? task.lease_id)) : isSame,
      ),
    );
  if (before?.cost_usd == null || before.cost_usd > total) return submitted;
  const metrics = { ...request.metrics, cost_usd: total - before.cost_usd };
  return { ...submitted, request: { ...request, metrics } };
}

/** Whether no other worker had a newer session of the context when this lease began, so that the worker was given its own (`sessionsOf`). */
const wasNewestAtLease = (leaseId: string | null): SQL =>
  sql`not exists (select from ${cliSessions} as other join ${leases} on ${leases.id} = ${leaseId}
    where other.context_id = ${cliSessions.context_id} and other.updated_at > ${cliSessions.updated_at}
      and other.updated_at <= ${leases.started_at})`;
