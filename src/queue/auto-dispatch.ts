import { sql } from "drizzle-orm";
import type { Logger } from "pino";
import type { Db } from "../db/client.ts";
import { leases, llmTasks, workers } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
import { messageOf, Refusal } from "../errors.ts";
import { isEligible, maxConcurrency } from "../fleet/capacity.ts";
import { takesCalls } from "../fleet/refusals.ts";
import { type Dispatcher, NotDispatched } from "./dispatch.ts";
import { isDue } from "./tasks.ts";

const PER_PASS = 50;

/**
 * Of each kind of agents, by their labels, the oldest tasks for which those have room: what nobody can take stands in nobody's way. Most passes
 * end with the free ones; the queue is looked through once for each of their kinds.
 */
const PLACEABLE = statement<{ id: string }, { limit: number }>(
  "placeable",
  sql`with load as materialized (
      select worker_id, count(*) as active from ${leases} where status = 'active' group by worker_id
    ), free as materialized (
      select ${workers.labels} as labels, sum(${maxConcurrency} - coalesce(load.active, 0))::int as room
      from ${workers} left join load on load.worker_id = ${workers.id}
      where ${isEligible(sql`'[]'::jsonb`)} and ${workers.url} <> '' and ${takesCalls} and coalesce(load.active, 0) < ${maxConcurrency}
      group by labels
    ), placeable as (
      select oldest.* from free cross join lateral (
        select id, created_at from ${llmTasks}
        where status = 'queued' and ${isDue} and requires <@ free.labels
        order by created_at, id limit least(free.room, ${sql.placeholder("limit")}::int)
      ) as oldest
    )
    select id from placeable group by id order by min(created_at), id limit ${sql.placeholder("limit")}::int`,
);

/**
 * Dispatches the oldest due tasks, as long as workers with an address have room; gives how many it began. It may run in every instance
 * at once: the lease decides who dispatches a task.
 */
export async function autoDispatchOnce(
  db: Db,
  dispatcher: Dispatcher,
  runtimeUrl: string | undefined,
  log: Logger,
): Promise<number> {
  const tasks = await PLACEABLE(db, { limit: PER_PASS });
  const begun = await Promise.all(
    tasks.map(async ({ id }) => {
      try {
        const begun = await dispatcher.dispatch(id, { worker_id: undefined, ttl_seconds: undefined }, runtimeUrl);
        return begun.already === undefined;
      } catch (error) {
        if (error instanceof NotDispatched)
          log.warn({ task: id, worker: error.workerId, reason: error.message }, "not dispatched");
        // Nobody has room, or another instance was faster.
        else if (!(error instanceof Refusal)) log.warn({ task: id, reason: messageOf(error) }, "not dispatched");
        return false;
      }
    }),
  );
  return begun.filter(Boolean).length;
}
