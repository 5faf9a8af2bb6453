import { type SQL, sql } from "drizzle-orm";
import { leases, workers } from "../db/schema.ts";
import { isEligible, maxConcurrency } from "./capacity.ts";
import { takesCalls } from "./refusals.ts";

/**
 * A query for the worker that could best take a task: one that holds an active lease of the same context (its CLI session is warm), then
 * most free slots, then freshest sign of life; where `withUrl` holds, only those whose agent can be called. A view without locks: the grant decides.
 */
export function bestWorker(task: { requires: SQL; contextId: SQL }, withUrl: SQL): SQL {
  return sql`select ${workers.id}
    from ${workers} cross join lateral (
      select count(*) as active, coalesce(bool_or(context_id = ${task.contextId}), false) as is_warm
      from ${leases} where worker_id = ${workers.id} and status = 'active'
    ) as load
    where ${isEligible(task.requires)} and load.active < ${maxConcurrency}
      and (not ${withUrl} or (${workers.url} <> '' and ${takesCalls}))
    order by load.is_warm desc, ${maxConcurrency} - load.active desc,
      ${workers.last_heartbeat} desc nulls last, ${workers.id}
    limit 1`;
}
