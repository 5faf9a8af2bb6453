import { type SQL, sql } from "drizzle-orm";
import type { LeasedTask } from "../contract/record-types.ts";
import type { Locks } from "../db/batch-statement.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Drain, Rest } from "../db/json-types.ts";
import { keyNameOf, takeableFrom } from "../db/queued-indexes.ts";
import { statement } from "../db/statement.ts";
import { llmTasks } from "../db/task-tables.ts";
import { isAccountFree, isPaced } from "../fleet/account-pace.ts";
import { activeLeasesOfLocked, freeRoom, maxConcurrency } from "../fleet/capacity.ts";
import { isDrained, labelSetId, labelSetsWithin, mayClaim, ofTaskRow, takesNewWork } from "../fleet/matching.ts";
import { comesOnline, needsSign, signOfLife } from "../fleet/signs-of-life.ts";
import { currentRest, isResting, restSeconds } from "../fleet/worker-rest.ts";
import { heldKeys, isConcurrencyKeyFree, takesConcurrencyKey } from "./concurrency-key.ts";
import { isDue, taskBytes } from "./get-task.ts";
import { newLeaseCtes, ttlSecondsColumn } from "./new-lease.ts";
import { EARLIEST_SORT_TIME, isBeforeCutOff, oldestOf, orderColumns, queueOrder } from "./queue-order.ts";

/** How long the CLI session of a worker's last context is taken to be warm. */
const WARM_MS = 600_000;
/** The context of a worker whose CLI session is warm. */
export const warmContext = sql`case when ${workers.served_at} > ${nowMs} - ${sql.raw(String(WARM_MS))} then ${workers.served_context} end`;
/**
 * At most this many tasks of that context are looked at: a context may have 100,000 that this worker cannot take. The number stands in a subquery,
 * where the planner does not see it; otherwise PostgreSQL reads and sorts all tasks of the context.
 */
export const WARM_LOOKED_AT = sql.raw("200");
/** The most bytes in the answer to one claim, except for a single task that is larger. 32 tasks of 10 MB took 2.8 GB of memory. */
export const CLAIM_BYTES = sql.raw("16000000");

/** How many more tasks are looked at than the worker has room for, since other claims may have locked the oldest. */
export const SPARE = 8;
/** Where keys may be held, a claim looks at `LOOKED_AT` tasks beyond `SPARE`, and then looks key by key. */
export const LOOKED_AT = 200;
/** With more keys than these, tasks are not looked for key by key: a key costs as much as ten tasks that are passed over. */
const MOST_KEYS = sql.raw("1000");

export type ClaimValues = {
  workerId: string;
  maxTasks: number;
  slugs: string[] | null;
  /** How many more tasks are looked at than there is room for: `SPARE` at first. */
  spare: number;
  ttlSeconds: number | null;
  actor: string;
  /** Ids for new leases, `maxTasks` of them; as many `entryIds` are for their audit entries. */
  leaseIds: string[];
  entryIds: string[];
};
/** How many more tasks are looked at because their keys may be held; null: all. */
type Bounded = ClaimValues & { lookedAt: number | null };
const given = (name: keyof Bounded) => sql.placeholder(name);
const own = (column: string) => sql.raw(`(select ${column} from self)`);
const mostSeen = sql`(select room + ${given("spare")}::int from self)`;
const isAsked = sql`(${given("slugs")}::text[] is null or agent_slug = any(${given("slugs")}::text[]))`;
const mayHave = mayClaim(ofTaskRow, own);
/**
 * `mayHave` for a query that joins `self`: it reads the worker's values from the join. To start a subquery for each value took a third of the time of
 * such a query.
 */
const mayHaveBesideSelf = mayClaim(ofTaskRow, (column) => sql.raw(`self.${column}`));
const order = queueOrder(own("warm"));
const lookedAt = sql`(select room + ${given("spare")}::int + ${given("lookedAt")}::int from self)`;

const ofAllSlugs = sql`select oldest.* from self cross join sets cross join lateral (
        ${oldestOf(orderColumns, { labelSet: sql`sets.label_set`, condition: mayHaveBesideSelf, limit: mostSeen, lookedAt })}
      ) as oldest`;
const ofSomeSlugs = sql`select oldest.* from self cross join sets cross join (select distinct unnest(${given("slugs")}::text[]) as slug) as asked cross join lateral (
        ${oldestOf(orderColumns, { labelSet: sql`sets.label_set`, condition: sql`agent_slug = asked.slug and ${mayHaveBesideSelf}`, limit: mostSeen, lookedAt })}
      ) as oldest`;

const keyName = keyNameOf(llmTasks);
const nextKey = (after: SQL) => sql`(select ${keyName} from ${llmTasks}
            where status = 'queued' and ${labelSetId} = sets.label_set${after} order by ${keyName} limit 1)`;
const ofFreeKeys = sql`select oldest.* from self cross join sets cross join lateral (
        with recursive keys as (
          select ${nextKey(sql``)} as name
          union all
          select ${nextKey(sql` and ${keyName} > keys.name`)} from keys where name is not null
        ), known as materialized (
          select name from keys where name is not null limit ${MOST_KEYS} + 1
        )
        select first.* from known cross join lateral (
          ${oldestOf(orderColumns, {
            labelSet: sql`sets.label_set`,
            condition: sql`${keyName} = known.name and ${mayHaveBesideSelf}`,
            limit: sql`(case when known.name = '' then ${mostSeen} else 1 end)`,
          })}
        ) as first
        where known.name not in (${heldKeys})
        -- With more keys than that, one row says that the search was cut off.
        union all (select ${orderColumns}, ${EARLIEST_SORT_TIME} from (select (null::llm_tasks).*) as none cross join known offset ${MOST_KEYS})
      ) as oldest`;

/** What a claim gave a worker, and what is known of the worker. */
export interface Given {
  leased: LeasedTask[];
  /** How long each of the leased tasks had been due; null where there are none. */
  waited_ms: number[] | null;
  /** The worker's sign of life is still to be written. */
  needs_sign: boolean;
  /** The worker's labels, as the text of a JSON array. */
  labels: string;
  room: number;
}

/** A claim's answer, which may be that there is nothing, and why. */
export interface Claimed extends Given {
  drained: boolean;
  drain: Drain | null;
  resting: boolean;
  rest: Rest | null;
  rest_seconds: number | null;
  /** The search ended at tasks of held keys, and found nothing to take before them. */
  is_cut_off: boolean;
  /** How many tasks were looked at, and how many of these could be locked. */
  seen: number;
  locked: number;
}

const isCutOff = sql`exists (select from oldest where cut_off_at is not null)`;

/** The statement of a claim. It picks tasks without locks, then locks tasks, and then the worker (lifecycle.md, invariant 4). */
const claimOf = <Values extends ClaimValues>(name: string, oldest: SQL, locks: Locks) =>
  statement<Claimed, Values>(
    name,
    sql`with recursive self as materialized (
      -- The worker, as it is when the statement begins.
      select ${workers}.*, ${isDrained} as drained, ${comesOnline} as comes_online, ${needsSign} as needs_sign, ${currentRest} as current_rest,
        ${isResting} as resting, ${restSeconds} as rest_seconds, ${warmContext} as warm,
        least(${given("maxTasks")}::int, ${freeRoom}) as room
      from ${workers} where ${workers.id} = ${given("workerId")}
    ), ${labelSetsWithin(sql`(select labels from self where room > 0)`)}, oldest as materialized (
      -- The oldest tasks of each set of labels that the worker may take.
      ${oldest}
    ), same as (
      -- Those of its warm context.
      select ${orderColumns} from (
        select * from ${llmTasks} where status = 'queued' and context_id = ${own("warm")} and exists (select from oldest)
        order by ${queueOrder()} limit (select ${WARM_LOOKED_AT} from self)
      ) as ${llmTasks}
      where ${isDue} and ${mayHave} and ${isConcurrencyKeyFree} and ${isAsked}
    ), seen as materialized (
      -- The first of these, one of each concurrency key, up to the first place where a task may be missing.
      select id from (
        select *, row_number() over (partition by coalesce(concurrency_key, id::text) order by ${order}) as nth_of_key
        from (select ${orderColumns} from oldest union select * from same) as either
      ) as either
      where nth_of_key = 1 and ${isBeforeCutOff(sql`oldest`)} order by ${order} limit ${mostSeen}
    ), ranked as materialized (
      -- Locks as many of them as the worker has room for, in the queue's order, and passes over those that others have locked.
      select *, row_number() over in_order as rank, sum(bytes) over in_order as total from (
        select ${orderColumns}, policy, ${taskBytes} as bytes, ${takeableFrom(llmTasks)} as takeable_from from ${llmTasks}
        where id = any(array(select id from seen)) and status = 'queued' and ${isDue} and ${mayHave}
        order by ${order} limit ${own("room")} for no key update skip locked
      ) as found
      where ${takesConcurrencyKey(sql`concurrency_key`)}
      window in_order as (order by ${order})
    ), locked as materialized (
      -- Locks the worker, or with "skips locked" passes over it.
      select ${workers.id} from ranked join ${workers} on ${workers.id} = ${given("workerId")}
      where ranked.rank = 1 for no key update of ${workers} ${locks === "waits" ? sql`` : sql`skip locked`}
    ), worker as (
      -- Counts its leases again, and makes the context of the first task its warm one.
      update ${workers} set served_context = ranked.context_id, served_at = ${nowMs}, ${signOfLife}
      from ranked, locked where ranked.rank = 1 and ${workers.id} = locked.id and ${takesNewWork} and ${isAccountFree}
      returning ${workers.id}, ${workers.served_at} as now,
        least(${maxConcurrency} - ${activeLeasesOfLocked(sql`${workers.id}`)}, case when ${isPaced} then 1 end) as room
    ), picked as (
      -- The tasks that it gets.
      select ranked.id as task_id, worker.id as worker_id, context_id, now, takeable_from, ${ttlSecondsColumn(sql`${given("ttlSeconds")}`)},
        (${given("leaseIds")}::uuid[])[rank] as lease_id, (${given("entryIds")}::uuid[])[rank] as entry_id
      from ranked, worker where rank <= least(worker.room, ${given("maxTasks")}::int)
        and (rank = 1 or total <= ${CLAIM_BYTES})
    ), ${newLeaseCtes(sql`${given("actor")}`, "with rows")}
    select drained, drain, resting, current_rest as rest, rest_seconds, comes_online or (needs_sign and not exists (select from picked)) as needs_sign, labels::text, room, ${isCutOff} and not exists (select from ranked) as is_cut_off, (select count(*)::int from seen) as seen,
      (select count(*)::int from ranked) as locked, (
      select coalesce(json_agg(json_build_object('task', leased_tasks, 'lease', new_leases) order by ranked.rank), '[]')
      from new_leases join leased_tasks on leased_tasks.id = new_leases.task_id join ranked on ranked.id = new_leases.task_id
    ) as leased, (select json_agg(now - takeable_from) from picked) as waited_ms
    from self`,
    { waitsFor: locks === "waits" ? "rows" : "tables" },
  );
const claimsOf = (locks: Locks) => ({
  /**
   * Takes the tasks that come first. It looks at `lookedAt` tasks more than there is room for, and takes
   * none that stands behind the last of them.
   */
  claim: claimOf<Bounded>("claim", ofAllSlugs, locks),
  ofSlugs: claimOf<Bounded>("claim_of_agents", ofSomeSlugs, locks),
  /**
   * Takes the tasks that come first, after a search for the first tasks of each free key; it takes nothing where there are too many keys. It costs as
   * much as there are keys, however many tasks wait for each.
   */
  ofFreeKeys: claimOf<ClaimValues>("claim_of_free_keys", ofFreeKeys, locks),
});
/** The statements of a claim, by what they do while somebody has locked the worker's row: they wait, or take nothing. */
export const CLAIM = { waits: claimsOf("waits"), "skips locked": claimsOf("skips locked") } as const;
