/** The statement for a batch of claims, which ask for one task each, of any agent. */
import { sql } from "drizzle-orm";
import { statementForBatch } from "../db/batch-statement.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf } from "../db/column-lists.ts";
import { workers } from "../db/fleet-tables.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
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
  RULE_COLUMNS,
  takesNewWork,
} from "../fleet/matching.ts";
import { comesOnline, signOfLife } from "../fleet/signs-of-life.ts";
import { CLAIM_BYTES, type Given, LOOKED_AT, SPARE, WARM_LOOKED_AT, warmContext } from "./claim-statement.ts";
import { isConcurrencyKeyFree, takesConcurrencyKey } from "./concurrency-key.ts";
import { isDue, taskBytes } from "./get-task.ts";
import { newLeaseCtes, ttlSecondsColumn } from "./new-lease.ts";
import { isBeforeCutOff, ORDER_COLUMNS, oldestOf, queueOrder } from "./queue-order.ts";

export type ClaimOfOne = {
  worker_id: string;
  wanted_seconds: number | null;
  /** Arrays of one element. */
  lease_ids: string[];
  entry_ids: string[];
  actor: string;
};

const mostSeen = sql`(select count(*) + ${sql.raw(String(SPARE))} from self)`;
const lookedAt = sql`(select count(*) + ${sql.raw(String(SPARE + LOOKED_AT))} from self)`;
/** What a task's place depends on, and whether a worker may have it; some columns may be for both. */
const columns = columnsOf([...new Set([...ORDER_COLUMNS, ...RULE_COLUMNS, "policy"])]);
const ofSelf: OfWorker = (column) => sql`self.${sql.identifier(column)}`;
const ofPool: OfTask = (column) => sql`pool.${sql.identifier(column)}`;
const allLabels = sql`coalesce(jsonb_agg(distinct label) filter (where label is not null), '[]')`;

/**
 * Gives each worker the task that it would get if the claims came one by one. A claim that gets no row is made again alone, after the others, and is
 * told the reason if there is no task for it. That befalls the second claim of one worker, and a claim that none of the locked tasks suits. The
 * statement picks tasks without locks, then locks tasks, and then the workers (lifecycle.md, invariant 4).
 */
export const CLAIMS = statementForBatch<Given, ClaimOfOne>(
  "claim_batch",
  { worker_id: "text", wanted_seconds: "integer", lease_ids: "uuid[]", entry_ids: "uuid[]", actor: "text" },
  sql`self as materialized (
      -- The workers that have room and whose account is not paced, in the order of the claims.
      select request.*, row_number() over (order by ordinal) as n, ${workers}.*, ${comesOnline} as comes_online, ${warmContext} as warm, ${freeRoom} as room
      from (select distinct on (worker_id) * from request order by worker_id, ordinal) as request join ${workers} on ${workers.id} = request.worker_id
      where not ${isPaced} and ${freeRoom} > 0
    ), ${labelSetsWithin(sql`(select ${allLabels} from self left join lateral jsonb_array_elements_text(labels) as label on true having count(*) > 0)`)},
    oldest as materialized (
      -- The oldest due tasks of each set of labels that any of them may take.
      select oldest.* from sets cross join lateral (
        ${oldestOf(columns, { labelSet: sql`sets.label_set`, condition: mayBeTakenByOneOf(sql`self`, ofTaskRow), limit: mostSeen, lookedAt })}
      ) as oldest
    ), same as (
      -- Those of their warm contexts.
      select same.* from (select distinct warm from self) as warm cross join lateral (
        select ${columns} from (
          select * from ${llmTasks} where status = 'queued' and context_id = warm.warm order by ${queueOrder()} limit (select ${WARM_LOOKED_AT} from self limit 1)
        ) as ${llmTasks}
        where ${isDue} and ${isConcurrencyKeyFree} and exists (select from self where self.warm = warm.warm and ${mayClaim(ofTaskRow, ofSelf)})
        order by ${queueOrder()} limit (select count(*) from self)
      ) as same
      where exists (select from oldest)
    ), seen as materialized (
      -- Of these, the first of each concurrency key for the same workers, up to the first place where a task may be missing.
      select id as task_id, is_warm from (
        select *, row_number() over (partition by coalesce(concurrency_key, id::text), ${columnsOf(RULE_COLUMNS)}, case when is_warm then context_id end
            order by ${queueOrder()}) as nth_of_kind
        from (
          select *, context_id = any(array(select warm from self)) is true as is_warm from (select ${columns} from oldest union select * from same) as found
        ) as found
      ) as found
      where nth_of_kind = 1 and ${isBeforeCutOff(sql`oldest`)}
    ), pool as materialized (
      -- Locks as many of the oldest as there are claims, and all of the warm contexts, and passes over those that others have locked.
      select * from (
        select ${columns}, ${taskBytes} as bytes, ${takeableFrom(llmTasks)} as takeable_from from ${llmTasks} join seen on ${llmTasks.id} = seen.task_id
        where status = 'queued' and ${isDue} order by is_warm desc, ${queueOrder()}
        limit (select count(*) from self) + (select count(*) from seen where is_warm) for no key update of ${llmTasks} skip locked
      ) as found
      where ${takesConcurrencyKey(sql`concurrency_key`)}
    ), chosen as (
      -- Gives each claim the first task of the pool, in the queue's order for its worker, that was not given before.
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
      -- The claims that got a task, with the bytes of all tasks up to theirs.
      select self.*, takeable_from, policy, task_id, context_id, bytes, sum(bytes) over (order by n) as total
      from chosen join self using (n) join pool on pool.id = chosen.task_id
    ), locked as materialized (
      -- Locks the workers, after the tasks and in the order of their names.
      select ${workers.id} from ${workers} where ${workers.id} in (select worker_id from given where total <= ${CLAIM_BYTES} or total = bytes)
      order by ${workers.id} for no key update skip locked
    ), worker as (
      -- Counts their leases again, and makes the contexts of their tasks their warm ones.
      update ${workers} set served_context = given.context_id, served_at = ${nowMs}, ${signOfLife}
      from given join locked on locked.id = given.worker_id
      where ${workers.id} = given.worker_id and ${takesNewWork} and not ${isPaced}
      returning ${workers.id}, ${workers.served_at} as now, ${maxConcurrency} - ${activeLeasesOfLocked(sql`${workers.id}`)} as room
    ), picked as (
      -- The tasks that their workers still have room for.
      select ordinal, task_id, worker_id, context_id, now, takeable_from, ${ttlSecondsColumn(sql`wanted_seconds`)}, lease_ids[1] as lease_id, entry_ids[1] as entry_id, actor,
        comes_online, labels, given.room
      from given join worker on worker.id = given.worker_id
      where worker.room > 0
    ), ${newLeaseCtes(sql`actor`, "with rows")}
    select ordinal, json_build_array(json_build_object('task', leased_tasks, 'lease', new_leases)) as leased,
      json_build_array(picked.now - takeable_from) as waited_ms, comes_online as needs_sign, picked.labels::text as labels, room
    from picked join new_leases on new_leases.task_id = picked.task_id join leased_tasks on leased_tasks.id = picked.task_id`,
);
