/** The statement for several claims at once, which ask for one task each, of any agent. */
import { sql } from "drizzle-orm";
import type { LeasedTask } from "../contract/record-types.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import { statementForSeveral } from "../db/statement-for-many.ts";
import { llmTasks } from "../db/task-tables.ts";
import { isPaced } from "../fleet/account-pace.ts";
import { activeLeasesOfLocked, freeRoom, maxConcurrency } from "../fleet/capacity.ts";
import {
  labelSetsWithin,
  mayBeTakenByOneOf,
  mayClaim,
  type OfTask,
  type OfWorker,
  ofTaskRow,
  takesNewWork,
} from "../fleet/matching.ts";
import { isLost, signOfLife } from "../fleet/signs-of-life.ts";
import { CLAIM_BYTES, LOOKED_AT, SPARE, warmContext } from "./claim-statement.ts";
import { isKeyFree, takesKey } from "./concurrency-key.ts";
import { newLeaseCtes, ttlSecondsColumn } from "./new-lease.ts";
import { oldestOf, orderColumns, queueOrder, turn } from "./queue-order.ts";
import { isDue, taskBytes } from "./tasks.ts";

export type ClaimOfOne = {
  worker_id: string;
  wanted_seconds: number | null;
  new_lease: string;
  entry_id: string;
  actor: string;
};

export interface ClaimedOne {
  leased: LeasedTask;
  /** How long the task was due. */
  waited_ms: number;
  quiet: boolean;
  labels: string;
  room: number;
}

/** How many tasks of a worker's warm context are looked at. Workers whose contexts are the same may take them from each other. */
const WARM_LOOKED_AT = sql.raw("8");
const window = sql`(select count(*) + ${sql.raw(String(SPARE))} from self)`;
const lookedAt = sql`(select count(*) + ${sql.raw(String(SPARE + LOOKED_AT))} from self)`;
/** What a task's place depends on, and beside its context whether a worker may have it: of tasks with the same key and the same of these, the first will do. */
const columns = sql`${orderColumns}, requires, tried_by, allow_fallback`;
const cutOffAt = sql`(select min(cut_off_at) from oldest)`;
const ofSelf: OfWorker = (column) => sql`self.${sql.identifier(column)}`;
const ofPool: OfTask = (column) => sql`pool.${sql.identifier(column)}`;
const allLabels = sql`coalesce(jsonb_agg(distinct label) filter (where label is not null), '[]')`;

/**
 * Claims of several workers. Each gets what it would get after those before it. A claim has no row where none of as many tasks as were asked for
 * suits it, or where it is a worker's second one: it is made again alone, after the others, which also gives the reason where there is nothing.
 *
 * `self` are the workers that have room, in the order of the claims, and `oldest` and `same` what they may take, as in the statement of one claim.
 * `pool` locks as many of the oldest tasks as were asked for, beside those of the warm contexts, and passes over what others have locked. `chosen` gives
 * each claim the first task of the pool, in the queue's order for its worker, that was not given before. `locked` and `worker` lock the workers' rows
 * after the tasks and in the order of their names. `picked` are the tasks that their workers still have room for.
 */
export const CLAIMS = statementForSeveral<ClaimedOne, ClaimOfOne>(
  "claim_set",
  { worker_id: "text", wanted_seconds: "integer", new_lease: "uuid", entry_id: "uuid", actor: "text" },
  sql`self as materialized (
      select request.*, row_number() over (order by ordinal) as n, ${workers.id}, labels, ${isLost} as quiet, ${warmContext} as warm, ${freeRoom} as room
      from (select distinct on (worker_id) * from request order by worker_id, ordinal) as request join ${workers} on ${workers.id} = request.worker_id
      where not ${isPaced} and ${freeRoom} > 0
    ), ${labelSetsWithin(sql`(select ${allLabels} from self left join lateral jsonb_array_elements_text(labels) as label on true having count(*) > 0)`)},
    oldest as materialized (
      select oldest.* from sets cross join lateral (
        ${oldestOf(columns, { labelSet: sql`sets.key`, condition: mayBeTakenByOneOf(sql`self`, ofTaskRow), limit: window, lookedAt })}
      ) as oldest
    ), same as (
      select same.* from self cross join lateral (
        select ${columns} from (
          select * from ${llmTasks} where status = 'queued' and context_id = self.warm order by ${queueOrder()} limit ${WARM_LOOKED_AT}
        ) as ${llmTasks} where ${isDue} and ${isKeyFree} and ${mayClaim(ofTaskRow, ofSelf)}
      ) as same
      where exists (select from oldest)
    ), seen as materialized (
      select id as task_id, is_warm from (
        select *, row_number() over (partition by coalesce(concurrency_key, id::text), requires, tried_by, allow_fallback, case when is_warm then context_id end
            order by ${queueOrder()}) as nth_of_kind
        from (
          select *, context_id = any(array(select warm from self)) is true as is_warm from (select ${columns} from oldest union select * from same) as found
        ) as found
      ) as found
      where nth_of_kind = 1 and coalesce(${turn} < ${cutOffAt}, ${cutOffAt} is null)
    ), pool as materialized (
      select * from (
        select ${columns}, elsewhere_until, policy, ${taskBytes} as bytes, ${takeableFrom(llmTasks)} as takeable_from from ${llmTasks} join seen on ${llmTasks.id} = seen.task_id
        where status = 'queued' and ${isDue} order by is_warm desc, ${queueOrder()}
        limit (select count(*) from self) + (select count(*) from seen where is_warm) for no key update of ${llmTasks} skip locked
      ) as found
      where ${takesKey(sql`concurrency_key`)}
    ), chosen as (
      select 0::bigint as n, null::uuid as task_id, '{}'::uuid[] as tasks, '{}'::text[] as keys
      union all
      select self.n, best.id, array_append(tasks, best.id), array_append(keys, best.concurrency_key)
      from chosen join self on self.n = chosen.n + 1 left join lateral (
        select pool.id, concurrency_key from pool
        where ${mayClaim(ofPool, ofSelf)} and array_position(tasks, pool.id) is null
          and (concurrency_key is null or array_position(keys, concurrency_key) is null)
        order by ${queueOrder(sql`self.warm`)} limit 1
      ) as best on true
    ), given as (
      select self.*, takeable_from, policy, task_id, context_id, bytes, sum(bytes) over (order by n) as total
      from chosen join self using (n) join pool on pool.id = chosen.task_id
    ), locked as materialized (
      select ${workers.id} from ${workers} where ${workers.id} in (select worker_id from given where total <= ${CLAIM_BYTES} or total = bytes)
      order by ${workers.id} for no key update skip locked
    ), worker as (
      update ${workers} set served_context = given.context_id, served_at = ${nowMs}, ${signOfLife}
      from given join locked on locked.id = given.worker_id
      where ${workers.id} = given.worker_id and ${takesNewWork} and not ${isPaced}
      returning ${workers.id}, ${workers.served_at} as now, ${maxConcurrency} - ${activeLeasesOfLocked(sql`${workers.id}`)} as room
    ), picked as (
      select ordinal, task_id, worker_id, context_id, now, takeable_from, ${ttlSecondsColumn(sql`wanted_seconds`)}, new_lease as lease_id, entry_id, actor,
        quiet, labels, given.room
      from given join worker on worker.id = given.worker_id
      where worker.room > 0
    ), ${newLeaseCtes(sql`actor`, "with rows")}
    select ordinal, json_build_object('task', leased_tasks, 'lease', new_leases) as leased, picked.now - takeable_from as waited_ms, quiet,
      picked.labels::text as labels, room
    from picked join new_leases on new_leases.task_id = picked.task_id join leased_tasks on leased_tasks.id = picked.task_id`,
);
