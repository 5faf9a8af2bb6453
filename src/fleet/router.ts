import { type SQL, sql } from "drizzle-orm";
import { cliSessions, workers } from "../db/fleet-tables.ts";
import { load, loadCte, maxConcurrency, workersWithLoad } from "./capacity.ts";
import { hasLabels, isCallable, isEligible, isNotKept, type TaskToMatch } from "./matching.ts";

/**
 * The router: a query for the worker that could best take a task. The worker whose attempt at it came to nothing comes last. Of the others, first
 * comes one that has a session of the context, where the task has `resume`; then one that holds an active lease of that context, since its CLI
 * session is warm; then one that has all labels in `prefers`; then the one with the most free room; then the one with the freshest sign of life. With `withUrl`, only workers whose agent can
 * be called count. The query locks nothing: the statement that leases the task decides.
 */
export function bestWorker(task: TaskToMatch & { contextId: SQL; resumes: SQL; prefers: SQL }, withUrl: SQL): SQL {
  const hasSession = sql`exists (select from ${cliSessions}
      where ${cliSessions.worker_id} = ${workers.id} and ${cliSessions.context_id} = ${task.contextId})`;
  return sql`with ${loadCte(sql`, bool_or(context_id = ${task.contextId}) as is_warm`)}
    select ${workers.id}
    from ${workersWithLoad}
    where ${isEligible(task.requires)} and ${isNotKept(task)} and ${load} < ${maxConcurrency} and (not ${withUrl} or ${isCallable})
    order by ${task.triedBy} is not distinct from ${workers.id}, ${task.resumes} and ${hasSession} desc, coalesce(load.is_warm, false) desc, ${hasLabels(task.prefers)} is true desc, ${maxConcurrency} - ${load} desc,
      ${workers.last_heartbeat} desc nulls last, ${workers.id}
    limit 1`;
}
