/** The statement that leases tasks, each to the worker that is named or to the best one, for one task and for a batch. */
import { type SQL, sql } from "drizzle-orm";
import { batchStatement, type Locks, type Size } from "../db/batch-statement.ts";
import { batcher } from "../db/batcher.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import type { WorkerRow } from "../db/row-types.ts";
import { llmTasks } from "../db/task-tables.ts";
import { isAccountFree, isPaced } from "../fleet/account-pace.ts";
import { activeLeasesOfLocked, maxConcurrency } from "../fleet/capacity.ts";
import { isAvailable, mayTake, type OfTask, takesNewWork } from "../fleet/matching.ts";
import {
  bestCandidate,
  bestUnlockedCandidate,
  type ChosenBefore,
  candidates,
  NONE_BEFORE,
  timesChosen,
} from "../fleet/router.ts";
import { isConcurrencyKeyFree, takesConcurrencyKey } from "./concurrency-key.ts";
import { isDue } from "./get-task.ts";
import { newLeaseCtes, ttlSecondsColumn } from "./new-lease.ts";

type LeaseRequest = {
  task_id: string;
  /** The worker that shall have the task; null for the best one. A worker that the caller names needs neither to be online, nor labels, nor room. */
  named: string | null;
  with_url: boolean;
  wanted_seconds: number | null;
  new_lease: string;
  entry_id: string;
  actor: string;
};

export interface Leased {
  now: number;
  /** How long the task was due. */
  waited_ms: number;
  context_id: string;
  ttl_seconds: number;
  worker: WorkerRow;
  active_leases: number;
}

/** The columns of the tasks in a CTE `waiting`. */
export const ofTask: OfTask = (column) => sql`waiting.${sql.identifier(column)}`;
const chosenBefore: ChosenBefore = { workers: sql`chosen.workers`, contexts: sql`chosen.contexts` };
/** The worker for a row of `waiting`, as SQL: the named one, or else what the query `best` finds. */
const orNamed = (best: SQL) => sql`coalesce(waiting.named, (${best}))`;

/** The CTEs for one task do without the windows and the recursion of a batch: with them, the leases of one client alone took 0.2 ms longer. */
const one = (locks: Locks) => {
  // A request that waits for a locked worker may wait long, while other workers are free.
  const find = locks === "waits" ? bestUnlockedCandidate : bestCandidate;
  const best = find(ofTask, sql`waiting.with_url`, NONE_BEFORE);
  return {
    waiting: sql`select 1 as n, * from task`,
    chosen: sql`select n, ${orNamed(best)} as worker_id, 0 as given_before from waiting`,
    served: sql`select chosen.worker_id, context_id, named is not null as is_named from chosen cross join waiting`,
  };
};
const BATCH = {
  waiting: sql`select row_number() over (order by ordinal) as n, * from (
        select *, row_number() over (partition by coalesce(concurrency_key, id::text) order by ordinal) as nth_of_key from task
      ) as task`,
  chosen: sql`select 0::bigint as n, null::text as worker_id, 0 as given_before, '{}'::text[] as workers, '{}'::text[] as contexts
      union all
      select waiting.n, best.id, ${timesChosen(chosenBefore, sql`best.id`)},
        array_append(chosen.workers, best.id), array_append(chosen.contexts, waiting.context_id)
      from chosen join waiting on waiting.n = chosen.n + 1 cross join lateral (
        -- Without "offset 0", PostgreSQL chooses a worker for each place that names it: three times.
        select ${orNamed(bestCandidate(ofTask, sql`waiting.with_url`, chosenBefore))} as id offset 0
      ) as best`,
  served: sql`select chosen.worker_id, (array_agg(context_id order by n desc))[1] as context_id, bool_or(named is not null) as is_named
      from chosen join waiting using (n) group by chosen.worker_id`,
};

/**
 * A batch skips what somebody has locked: a task, a named worker, a key that a claim is just taking. A request that is sent alone waits for it. Of
 * several requests for one task or for one key, a batch takes the first.
 *
 * Only a request that is sent alone takes the one place of a paced account. It locks the account after the worker, while a change of the account
 * locks them the other way round. The two may meet in a deadlock, which then delays no other request.
 */
const rules = (locks: Locks, size: Size) =>
  locks === "waits"
    ? { takes: sql`true`, lock: sql``, paced: isAccountFree }
    : {
        takes: sql`${sql.raw(size === "batch" ? "nth_of_key = 1 and" : "")} ${takesConcurrencyKey(sql`concurrency_key`)}`,
        lock: sql`skip locked`,
        paced: sql`not ${isPaced}`,
      };

/** Leases a task for each request. The worker's record comes as JSON: as columns it took a fifth of the driver's time. */
export const leaseRequests = batcher(
  batchStatement<Leased, LeaseRequest>(
    "lease",
    {
      task_id: "uuid",
      named: "text",
      with_url: "boolean",
      wanted_seconds: "integer",
      new_lease: "uuid",
      entry_id: "uuid",
      actor: "text",
    },
    (locks, size) => {
      const { takes, lock, paced } = rules(locks, size);
      const { waiting, chosen, served } = size === "one" ? one(locks) : BATCH;
      return sql`task as materialized (
      -- Locks the tasks.
      select request.*, ${takeableFrom(llmTasks)} as takeable_from, ${llmTasks}.*
      from request join ${llmTasks} on ${llmTasks.id} = request.task_id
      where (${llmTasks.status} = 'queued') is true and ${isDue} and ${isConcurrencyKeyFree}
      order by ${llmTasks.id} for no key update of ${llmTasks} ${lock}
    ), waiting as materialized (
      ${waiting} where ${takes}
    ), ${candidates(sql`select context_id from waiting where named is null`)}, chosen as (
      -- Chooses their workers one after the other, each with what was chosen before it. For a task alone, it also locks the worker.
      ${chosen}
    ), locked as materialized (
      -- Locks the workers, after the tasks and in the order of their names.
      select id from ${workers} where id in (select worker_id from chosen) order by id for no key update ${lock}
    ), served as (
      -- Each chosen worker, with the context of the last task that it gets.
      ${served}
    ), worker as (
      -- Changes the workers' rows, and counts their leases (see activeLeasesOfLocked).
      update ${workers} set served_context = served.context_id, served_at = ${nowMs}
      from served join locked on locked.id = served.worker_id
      where ${workers.id} = served.worker_id and ${takesNewWork} and (served.is_named or (${isAvailable} and ${paced}))
      returning ${workers}.*, ${workers.served_at} as now, row_to_json(${workers}.*) as record, ${isAvailable} and ${paced} as is_available,
        ${maxConcurrency} as room, ${activeLeasesOfLocked(sql`${workers.id}`)} as active_leases
    ), picked as (
      -- The tasks that their workers still may have and have room for.
      select ordinal, waiting.id as task_id, worker.id as worker_id, context_id, now, takeable_from, record,
        active_leases + given_before as active_leases, ${ttlSecondsColumn(sql`wanted_seconds`)}, new_lease as lease_id, entry_id, actor
      from chosen join waiting using (n) join worker on worker.id = chosen.worker_id
      where named is not null or (is_available and active_leases + given_before < room
        and ${mayTake(ofTask, (column) => sql`worker.${sql.identifier(column)}`)})
    ), ${newLeaseCtes(sql`actor`, "without rows")}
    select ordinal, now, now - takeable_from as waited_ms, context_id, ttl_seconds, record as worker, active_leases from picked`;
    },
  ),
  () => 0,
);
