import { type SQL, sql } from "drizzle-orm";
import type { ClaimTasks } from "../contract/requests.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { leases, llmTasks, workers } from "../db/schema.ts";
import { statement, transition } from "../db/statement.ts";
import type { Drain, Rest } from "../db/values.ts";
import { Conflict } from "../errors.ts";
import { activeLeasesOfLocked, isDrained, maxConcurrency } from "../fleet/capacity.ts";
import { isQuiet, seen } from "../fleet/evidence.ts";
import { isResting, Resting, restSeconds } from "../fleet/rest.ts";
import { workerNotFound } from "../fleet/workers.ts";
import { type Granted, grant, ttlFor } from "./grant.ts";
import { orHandBack } from "./hand-back.ts";
import { isDue, taskBytes } from "./tasks.ts";

/** The worker's CLI session of the context that it served last is warm for about so long. */
const WARM_MS = 600_000;
/** By so much a task of that context counts as older than it is. Others wait no longer than that for their turn, so none starves. */
const HEAD_START_MS = 30_000;
/** The most that one claim is answered, but for a single task that is larger: 32 tasks of 10 MB took 2.8 GB of memory. */
const GRANT_BYTES = 16_000_000;

type Values = {
  workerId: string;
  maxTasks: number;
  slugs: string[] | null;
  ttlSeconds: number | null;
  actor: string;
  /** As many as `maxTasks`. */
  leaseIds: string[];
  entryIds: string[];
};
const given = (name: keyof Values) => sql.placeholder(name);
const own = (column: string) => sql.raw(`(select ${column} from self)`);

/** Locks the oldest due tasks that the worker may have, as far as nobody else has them. */
const lockOldest = (condition: SQL) => sql`
  select id, context_id, policy, created_at, ${taskBytes} as bytes from ${llmTasks}
  where status = 'queued' and ${isDue} and requires <@ ${own("labels")}
    and (${given("slugs")}::text[] is null or agent_slug = any(${given("slugs")}::text[])) and ${condition}
  order by created_at, id limit ${own("room")}
  for no key update skip locked`;

/**
 * `self` is the worker as it was when the statement began, and `worker` the same when its row is changed, and so locked, after the tasks
 * (lifecycle.md, invariant 4). What it holds is counted anew then. Of several tasks the first is what the worker is taken to be warm with.
 */
const CLAIM = statement<
  {
    granted: Granted[];
    drained: boolean;
    drain: Drain | null;
    resting: boolean;
    rest: Rest | null;
    rest_seconds: number | null;
    quiet: boolean;
  },
  Values
>(
  "claim",
  sql`with self as (
      select ${workers.drain} as drain, ${isDrained} as drained, ${isQuiet} as quiet, ${workers.labels} as labels,
        ${workers.rest} as rest, ${isResting} as resting, ${restSeconds} as rest_seconds,
        case when served_at > ${nowMs} - ${sql.raw(String(WARM_MS))} then served_context end as warm,
        case when ${isDrained} or ${isResting} then 0 else greatest(0, least(${given("maxTasks")}::int, ${maxConcurrency}
          - (select count(*)::int from ${leases} where worker_id = ${workers.id} and status = 'active'))) end as room
      from ${workers} where ${workers.id} = ${given("workerId")}
    ), oldest as (${lockOldest(sql`true`)}
    ), same as (${lockOldest(sql`context_id = ${own("warm")} and exists (select from oldest)`)}
    ), found as (
      select * from oldest union select * from same
    ), ranked as (
      select *, row_number() over place as rank, sum(bytes) over place as total from found
      window place as (order by created_at - case when context_id = ${own("warm")} then ${sql.raw(String(HEAD_START_MS))} else 0 end, id)
    ), worker as (
      update ${workers} set served_context = ranked.context_id, served_at = ${nowMs}
      from ranked where ranked.rank = 1 and ${workers.id} = ${given("workerId")} and not ${isDrained} and not ${isResting}
      returning ${workers.id}, ${workers.served_at} as now, ${maxConcurrency} - ${activeLeasesOfLocked(sql`${workers.id}`)} as room
    ), picked as (
      select ranked.id as task_id, worker.id as worker_id, context_id, now, ${ttlFor(sql`${given("ttlSeconds")}`)},
        (${given("leaseIds")}::uuid[])[rank] as lease_id, (${given("entryIds")}::uuid[])[rank] as entry_id
      from ranked, worker where rank <= least(worker.room, ${given("maxTasks")}::int)
        and (rank = 1 or total <= ${sql.raw(String(GRANT_BYTES))})
    ), ${grant(sql`${given("actor")}`, "with rows")}
    select drained, drain, resting, rest, rest_seconds, quiet, (
      select coalesce(json_agg(json_build_object('task', moved, 'lease', granted) order by ranked.rank), '[]')
      from granted join moved on moved.id = granted.task_id join ranked on ranked.id = granted.task_id
    ) as granted
    from self`,
);

/**
 * queued -> leased for the oldest due tasks that the worker may have, up to `max_tasks` and its free capacity, which is exact under any
 * concurrency (lifecycle.md, invariant 5), and 16 MB (at least one task). None is no fault. A claim is a sign of life. A worker
 * without a CLI may claim: unlike one that is chosen, it asks by itself.
 * NotFound: no such worker, or none any more. Conflict: it is drained. Resting: it rests.
 */
export async function claimTasks(db: Db, request: ClaimTasks): Promise<Granted[]> {
  const { worker_id, max_tasks = 1, ttl_seconds, agent_slugs = [] } = request;
  const ids = () => Array.from({ length: max_tasks }, newId);
  const leaseIds = ids();
  const values = {
    workerId: worker_id,
    maxTasks: max_tasks,
    slugs: agent_slugs.length > 0 ? agent_slugs : null,
    ttlSeconds: ttl_seconds ?? null,
    actor: actorOf(db, worker_id),
    leaseIds,
    entryIds: ids(),
  };
  const claiming = () => transition(() => CLAIM(db, values), refuse);
  const { granted, drained, drain, resting, rest, rest_seconds, quiet } = await orHandBack(db, leaseIds, claiming);
  if (quiet)
    await seen(db, worker_id, "claim").catch((error) => {
      // What was granted must reach the worker; the next sign of life is noted again.
      if (granted.length === 0) throw error;
    });
  if (drained) {
    const why = drain?.reason ? `: ${drain.reason}` : "";
    throw new Conflict(`Worker ${worker_id} is drained and gets no new work${why}`);
  }
  if (resting && rest) throw new Resting(409, worker_id, rest, rest_seconds);
  return granted;
}

async function refuse(): Promise<never> {
  throw workerNotFound();
}
