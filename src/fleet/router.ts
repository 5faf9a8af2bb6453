import { type SQL, sql } from "drizzle-orm";
import { workers } from "../db/fleet-tables.ts";
import { isFree, load, loadCte, maxConcurrency, workersWithLoad } from "./capacity.ts";
import { hasLabels, isCallable, mayTake, type OfTask } from "./matching.ts";
import { newestSessionsWorker } from "./newest-session.ts";

/**
 * The CTEs `load` and `candidate`: the workers that the router may choose from, as they are in `workers`, with `active`, the number of their active
 * leases, and `contexts`, the `asked` contexts in which they hold an active lease. `asked` is a query for contexts. Nothing is locked.
 */
export function candidates(asked: SQL): SQL {
  return sql`${loadCte(sql`, array_agg(context_id) filter (where context_id = any(array(${asked}))) as contexts`)}, candidate as materialized (
      select ${workers}.*, ${load} as active, load.contexts from ${workersWithLoad} where ${isFree}
    )`;
}

/** What was chosen before in the same statement: a worker and the context of its task at the same index of two arrays. */
export interface ChosenBefore {
  workers: SQL;
  contexts: SQL;
}
export const NONE_BEFORE: ChosenBefore = { workers: sql`'{}'::text[]`, contexts: sql`'{}'::text[]` };
/** How many tasks a worker was given before in the same statement. */
export const timesChosen = ({ workers: chosen }: ChosenBefore, worker: SQL) =>
  sql`coalesce(cardinality(array_positions(${chosen}, ${worker})), 0)`;

/**
 * The router: a query for the worker among the candidates that could best take a task, the first in the order of `rankedCandidates`. With `withUrl`,
 * only workers whose agent can be called count. What was chosen before counts as leases that the workers hold already.
 */
export function bestCandidate(ofTask: OfTask, withUrl: SQL, before: ChosenBefore): SQL {
  return sql`select id from (${rankedCandidates(ofTask, withUrl, before)} limit 1) as best`;
}

/** The router's query for the best candidate whose row nobody else has locked, which also locks that row. */
export function bestUnlockedCandidate(ofTask: OfTask, withUrl: SQL, before: ChosenBefore): SQL {
  return sql`select unlocked.id from ${workers} as unlocked join (${rankedCandidates(ofTask, withUrl, before)}) as ranked on ranked.id = unlocked.id
    order by ranked.rank limit 1 for no key update of unlocked skip locked`;
}

/**
 * The candidates for the task in the router's order, with their `rank` in it. The first rule that tells two workers apart decides:
 * 1. the worker whose last attempt at the task came to nothing comes last;
 * 2. the worker that has the newest CLI session of the context, where the task has `resume`;
 * 3. a worker that holds an active lease of the context, since its CLI session is warm;
 * 4. a worker that has all labels in `prefers`;
 * 5. the worker with the most free room;
 * 6. the worker with the freshest sign of life;
 * 7. the worker whose id comes first, so that the same workers always come in the same order.
 */
function rankedCandidates(ofTask: OfTask, withUrl: SQL, before: ChosenBefore): SQL {
  const contextId = ofTask("context_id");
  // No part of the subquery depends on the worker, so that PostgreSQL looks for the newest session once a task, and never without `resume`.
  const hasSession = sql`coalesce(${newestSessionsWorker(contextId)} = ${workers.id}, false)`;
  const isWarm = sql`(coalesce(${contextId} = any(workers.contexts), false) or (${contextId} = any(${before.contexts}) and exists (
      select from unnest(${before.workers}, ${before.contexts}) as chosen_before(worker_id, context_id)
      where chosen_before.worker_id = ${workers.id} and chosen_before.context_id = ${contextId})))`;
  const room = sql`(${maxConcurrency} - workers.active - ${timesChosen(before, sql`${workers.id}`)})`;
  const order = sql`${ofTask("tried_by")} is not distinct from ${workers.id}, ${ofTask("resume")} and ${hasSession} desc, ${isWarm} desc,
      ${hasLabels(ofTask("prefers"))} is true desc, ${room} desc, ${workers.last_heartbeat} desc nulls last, ${workers.id}`;
  // The candidates stand in for the table, whose columns the rules name.
  return sql`select ${workers.id}, row_number() over (order by ${order}) as rank from candidate as workers
    where ${mayTake(ofTask)} and (not ${withUrl} or ${isCallable}) and ${room} > 0 order by ${order}`;
}
