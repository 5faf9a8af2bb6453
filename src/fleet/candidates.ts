import { type SQL, sql } from "drizzle-orm";
import { leases, workers } from "../db/schema.ts";
import { isEligible, maxConcurrency } from "./capacity.ts";
import { takesCalls } from "./refusals.ts";

/**
 * A query for the worker that could best take a task: one that holds an active lease of the same context (its CLI session is warm), then
 * most free slots, then freshest sign of life; where `withUrl` holds, only those whose agent can be called. A view without locks: the grant decides.
 */
export function bestWorker(task: { requires: SQL; contextId: SQL }, withUrl: SQL): SQL {
  return sql`with load as materialized (
      select worker_id, count(*) as active, bool_or(context_id = ${task.contextId}) as is_warm
      from ${leases} where status = 'active' group by worker_id
    )
    select ${workers.id}
    from ${workers} left join load on load.worker_id = ${workers.id}
    where ${isEligible(task.requires)} and coalesce(load.active, 0) < ${maxConcurrency}
      and (not ${withUrl} or (${workers.url} <> '' and ${takesCalls}))
    order by coalesce(load.is_warm, false) desc, ${maxConcurrency} - coalesce(load.active, 0) desc,
      ${workers.last_heartbeat} desc nulls last, ${workers.id}
    limit 1`;
}
