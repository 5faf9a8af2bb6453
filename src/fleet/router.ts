import { type SQL, sql } from "drizzle-orm";
import { cliSessions, workers } from "../db/fleet-tables.ts";
import { load, loadCte, maxConcurrency, workersWithLoad } from "./capacity.ts";
import { hasLabels, isAvailable, isCallable, mayTake, type OfTask } from "./matching.ts";

/**
 * The router: a query for the worker that could best take a task. The order, the first rule that tells two workers apart decides:
 * 1. the worker whose last attempt at the task came to nothing comes last;
 * 2. a worker that has a CLI session of the context, where the task has `resume`;
 * 3. a worker that holds an active lease of the context, since its CLI session is warm;
 * 4. a worker that has all labels in `prefers`;
 * 5. the worker with the most free room, then the one with the freshest sign of life.
 * With `withUrl`, only workers whose agent can be called count. The query locks nothing: the statement that leases the task decides.
 */
export function bestWorker(ofTask: OfTask, withUrl: SQL): SQL {
  const contextId = ofTask("context_id");
  const hasSession = sql`exists (select from ${cliSessions}
      where ${cliSessions.worker_id} = ${workers.id} and ${cliSessions.context_id} = ${contextId})`;
  return sql`with ${loadCte(sql`, bool_or(context_id = ${contextId}) as is_warm`)}
    select ${workers.id}
    from ${workersWithLoad}
    where ${isAvailable} and ${mayTake(ofTask)} and ${load} < ${maxConcurrency} and (not ${withUrl} or ${isCallable})
    order by ${ofTask("tried_by")} is not distinct from ${workers.id}, ${ofTask("resume")} and ${hasSession} desc,
      coalesce(load.is_warm, false) desc, ${hasLabels(ofTask("prefers"))} is true desc, ${maxConcurrency} - ${load} desc,
      ${workers.last_heartbeat} desc nulls last, ${workers.id}
    limit 1`;
}
