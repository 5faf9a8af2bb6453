import { type SQL, sql } from "drizzle-orm";
import { workers } from "../db/fleet-tables.ts";
import { load, loadCte, maxConcurrency, workersWithLoad } from "./capacity.ts";
import { isCallable, isEligible, isNotKept, type TaskToMatch } from "./matching.ts";

/**
 * The router: a query for the worker that could best take a task. The worker whose attempt at it came to nothing comes last. A worker that holds
 * an active lease of the same context comes first, since its CLI session is warm; then the one with the most free room; then the one with the freshest sign of life. With `withUrl`, only workers whose
 * agent can be called count. The query locks nothing: the statement that leases the task decides.
 */
export function bestWorker(task: TaskToMatch & { contextId: SQL }, withUrl: SQL): SQL {
  return sql`with ${loadCte(sql`, bool_or(context_id = ${task.contextId}) as is_warm`)}
    select ${workers.id}
    from ${workersWithLoad}
    where ${isEligible(task.requires)} and ${isNotKept(task)} and ${load} < ${maxConcurrency} and (not ${withUrl} or ${isCallable})
    order by ${task.triedBy} is not distinct from ${workers.id}, coalesce(load.is_warm, false) desc, ${maxConcurrency} - ${load} desc,
      ${workers.last_heartbeat} desc nulls last, ${workers.id}
    limit 1`;
}
