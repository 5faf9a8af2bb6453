import { type SQL, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { ClaimTasks } from "../contract/requests.ts";
import type { LeasedTask } from "../contract/views.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import type { Drain, Rest } from "../db/column-values.ts";
import { workers } from "../db/fleet-tables.ts";
import { newId } from "../db/ids.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/schema.ts";
import { statement, transition } from "../db/statement.ts";
import { Conflict } from "../errors.ts";
import { isAccountFree, isPaced } from "../fleet/account-pace.ts";
import { activeLeasesOfLocked, freeRoom, maxConcurrency } from "../fleet/capacity.ts";
import { isDrained, labelSetsWithin, mayClaim, ofTaskRow, takesNewWork } from "../fleet/matching.ts";
import { isQuiet, recordSignOfLife } from "../fleet/signs-of-life.ts";
import { currentRest, isResting, Resting, restSeconds } from "../fleet/worker-rest.ts";
import { workerNotFound } from "../fleet/workers.ts";
import { afterCommit } from "./after-commit.ts";
import { isKeyFree, takesKey } from "./concurrency-key.ts";
import { withContinuations } from "./continuation.ts";
import { newLeaseCtes, ttlSecondsColumn } from "./new-lease.ts";
import { oldestOf, orderColumns, queueOrder } from "./queue-order.ts";
import { releaseIfAnswerLost } from "./release-undelivered.ts";
import { isDue, taskBytes } from "./tasks.ts";

/** How long the CLI session of a worker's last context is taken to be warm. */
const WARM_MS = 600_000;
/** How many of the oldest tasks of that context are looked at. Most contexts have fewer, and some may have 100,000 that the worker cannot take. */
const WARM_LOOKED_AT = 200;
/** How many more tasks are looked at than the worker has room for, since other claims may have locked the oldest. */
const SPARE = 8;
/** When others have locked all of them, the next try looks at so many times more. */
const WIDER = 10;
const WIDEST = SPARE * WIDER ** 3;
/** The most bytes in the answer to one claim, except for a single task that is larger. 32 tasks of 10 MB took 2.8 GB of memory. */
const CLAIM_BYTES = 16_000_000;

type Values = {
  workerId: string;
  maxTasks: number;
  slugs: string[] | null;
  spare: number;
  ttlSeconds: number | null;
  actor: string;
  /** As many ids as `maxTasks`, and the same for `entryIds`. */
  leaseIds: string[];
  entryIds: string[];
};
const given = (name: keyof Values) => sql.placeholder(name);
const own = (column: string) => sql.raw(`(select ${column} from self)`);
const window = sql`(select room + ${given("spare")}::int from self)`;
const isAsked = sql`(${given("slugs")}::text[] is null or agent_slug = any(${given("slugs")}::text[]))`;
const mayHave = mayClaim(ofTaskRow, own);
const fits = sql`${mayHave} and ${isKeyFree}`;
const order = queueOrder(own("warm"));

const ofAllAgents = sql`sets cross join lateral (
        ${oldestOf(orderColumns, sql`sets.key`, window, fits)}
      ) as oldest`;
const ofSomeAgents = sql`sets cross join (select distinct unnest(${given("slugs")}::text[]) as slug) as asked cross join lateral (
        ${oldestOf(orderColumns, sql`sets.key`, window, sql`agent_slug = asked.slug and ${fits}`)}
      ) as oldest`;

interface Claimed {
  leased: LeasedTask[];
  /** How long each of these was due; null where there are none. */
  waited_ms: number[] | null;
  drained: boolean;
  drain: Drain | null;
  resting: boolean;
  rest: Rest | null;
  rest_seconds: number | null;
  quiet: boolean;
  /** How many tasks were looked at, and how many of these could be locked. */
  seen: number;
  locked: number;
  /** The worker's labels, as the text of a JSON array. */
  labels: string;
  room: number;
}

/**
 * The statement of a claim. `self` is the worker as it was when the statement began. `oldest` and `same` are tasks that it may take, as they were
 * then: the oldest of each set of labels, and those of its warm context. `ranked` locks as many of them as the worker has room for, in the queue's
 * order, and passes over those that others have locked. `worker` then changes the worker's row, which locks it after the tasks (lifecycle.md,
 * invariant 4), and counts its leases again; its new warm context is that of the first task. `picked` are the tasks that it gets, of each concurrency key the first.
 */
const claimOf = (name: string, oldest: SQL) =>
  statement<Claimed, Values>(
    name,
    sql`with recursive self as materialized (
      select ${workers}.*, ${isDrained} as drained, ${isQuiet} as quiet, ${currentRest} as current_rest,
        ${isResting} as resting, ${restSeconds} as rest_seconds,
        case when served_at > ${nowMs} - ${sql.raw(String(WARM_MS))} then served_context end as warm,
        least(${given("maxTasks")}::int, ${freeRoom}) as room
      from ${workers} where ${workers.id} = ${given("workerId")}
    ), ${labelSetsWithin(sql`(select labels from self where room > 0)`)}, oldest as materialized (
      select oldest.* from ${oldest}
    ), same as (
      select ${orderColumns} from (
        select * from ${llmTasks} where status = 'queued' and context_id = ${own("warm")} and exists (select from oldest)
        order by ${queueOrder()} limit ${sql.raw(String(WARM_LOOKED_AT))}
      ) as ${llmTasks}
      where ${isDue} and ${fits} and ${isAsked}
    ), seen as materialized (
      select id from (select * from oldest union select * from same) as either order by ${order} limit ${window}
    ), ranked as materialized (
      select *, row_number() over place as rank, sum(bytes) over place as total from (
        select ${orderColumns}, policy, ${taskBytes} as bytes, ${takeableFrom(llmTasks)} as takeable_from from ${llmTasks}
        where id = any(array(select id from seen)) and status = 'queued' and ${isDue} and ${mayHave}
        order by ${order} limit ${own("room")} for no key update skip locked
      ) as found
      where ${takesKey(sql`concurrency_key`)}
      window place as (order by ${order})
    ), worker as (
      update ${workers} set served_context = ranked.context_id, served_at = ${nowMs}
      from ranked where ranked.rank = 1 and ${workers.id} = ${given("workerId")} and ${takesNewWork} and ${isAccountFree}
      returning ${workers.id}, ${workers.served_at} as now,
        least(${maxConcurrency} - ${activeLeasesOfLocked(sql`${workers.id}`)}, case when ${isPaced} then 1 end) as room
    ), picked as (
      select ranked.id as task_id, worker.id as worker_id, context_id, now, takeable_from, ${ttlSecondsColumn(sql`${given("ttlSeconds")}`)},
        (${given("leaseIds")}::uuid[])[rank] as lease_id, (${given("entryIds")}::uuid[])[rank] as entry_id
      from ranked, worker where rank <= least(worker.room, ${given("maxTasks")}::int)
        and (concurrency_key is null or not exists (
          select from ranked earlier where earlier.concurrency_key = ranked.concurrency_key and earlier.rank < ranked.rank))
        and (rank = 1 or total <= ${sql.raw(String(CLAIM_BYTES))})
    ), ${newLeaseCtes(sql`${given("actor")}`, "with rows")}
    select drained, drain, resting, current_rest as rest, rest_seconds, quiet, labels::text, room, (select count(*)::int from seen) as seen,
      (select count(*)::int from ranked) as locked, (
      select coalesce(json_agg(json_build_object('task', leased_tasks, 'lease', new_leases) order by ranked.rank), '[]')
      from new_leases join leased_tasks on leased_tasks.id = new_leases.task_id join ranked on ranked.id = new_leases.task_id
    ) as leased, (select json_agg(now - takeable_from) from picked) as waited_ms
    from self`,
  );
const CLAIM = claimOf("claim", ofAllAgents);
const CLAIM_OF_AGENTS = claimOf("claim_of_agents", ofSomeAgents);

/** The tasks that a claim got, and what a worker that got none can be told or waits for. */
export interface Claim {
  leased: LeasedTask[];
  /** The worker's labels, as the text of a JSON array. */
  labels: string;
  hasRoom: boolean;
  /** There were tasks for the worker, but others had locked them, and may yet leave them. */
  isPassedOver: boolean;
}

/**
 * The transition queued -> leased for the oldest due tasks that the worker can take: up to `max_tasks`, up to its free room, which is exact under
 * any concurrency (lifecycle.md, invariant 5), and up to 16 MB, but at least one task. There may be none. A claim is a sign of life. A worker
 * without a CLI may claim, since it asks for itself.
 * NotFound: no such worker. Conflict: the worker is drained. Resting: it rests.
 */
export async function claimTasks(db: Db, caller: Caller | undefined, request: ClaimTasks): Promise<Claim> {
  const { worker_id } = request;
  const claimed = await claimWithin(db, caller, request, SPARE);
  const { leased, drained, drain, resting, rest, rest_seconds, quiet, seen, labels, room } = claimed;
  if (quiet) await afterCommit(db, caller, "claim", (what) => recordSignOfLife(db, worker_id, what));
  if (drained) {
    const why = drain?.reason ? `: ${drain.reason}` : "";
    throw new Conflict(`Worker ${worker_id} is drained and gets no new work${why}`);
  }
  if (resting && rest) throw new Resting(409, worker_id, rest, rest_seconds);
  return { leased, labels, hasRoom: room > 0, isPassedOver: leased.length === 0 && seen > 0 };
}

async function claimWithin(db: Db, caller: Caller | undefined, request: ClaimTasks, spare: number): Promise<Claimed> {
  const { worker_id, max_tasks = 1, ttl_seconds, agent_slugs = [] } = request;
  const ids = () => Array.from({ length: max_tasks }, newId);
  const leaseIds = ids();
  const values = {
    workerId: worker_id,
    maxTasks: max_tasks,
    slugs: agent_slugs.length > 0 ? agent_slugs : null,
    spare,
    ttlSeconds: ttl_seconds ?? null,
    actor: actorOf(caller, worker_id),
    leaseIds,
    entryIds: ids(),
  };
  const claim = values.slugs ? CLAIM_OF_AGENTS : CLAIM;
  const claimed = await releaseIfAnswerLost(db, caller, leaseIds, async () => {
    const found = await transition(() => claim(db, values), refuse);
    for (const ms of found.waited_ms ?? []) db.meters.taskWait.observe(ms / 1_000);
    return { ...found, leased: await withContinuations(db, worker_id, found.leased) };
  });
  const areMore = claimed.locked === 0 && claimed.seen > spare && spare < WIDEST;
  return areMore ? claimWithin(db, caller, request, spare * WIDER) : claimed;
}

async function refuse(): Promise<never> {
  throw workerNotFound();
}
