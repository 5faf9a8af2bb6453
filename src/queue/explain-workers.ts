import { asc, type SQL, sql } from "drizzle-orm";
import type { Reason } from "../contract/causes.ts";
import type { Explanation, Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Drain, Rest } from "../db/json-types.ts";
import { llmTasks } from "../db/task-tables.ts";
import { accountOf, isAccountIdle, isPaced } from "../fleet/account-pace.ts";
import { activeLeases, isFree, load, loadCte, maxConcurrency, workersWithLoad } from "../fleet/capacity.ts";
import { hasLabels, isDrained, mayTake, type OfTask, refusalsOf } from "../fleet/matching.ts";
import { isPaused, takesCalls } from "../fleet/refusing-agents.ts";
import { accountRest, ownRest, restInWords } from "../fleet/worker-rest.ts";
import { isoTime } from "../format-iso-time.ts";

/** The most workers that an explanation names. */
const MOST_WORKERS = 200;

const inDatabase =
  ({ id }: Task): OfTask =>
  (column) =>
    sql`(select ${llmTasks[column]} from ${llmTasks} where ${llmTasks.id} = ${id})`;

/** True in SQL for a worker that claims, or whose agent may be called now. */
const isReachable = sql`(${workers.url} = '' or ${takesCalls})`;

/** How many workers could take the task now: they are available, reachable and free, and may take it. */
export async function countAbleWorkers(db: Db, task: Task): Promise<number> {
  const { rows } = await db.execute<{ able: number }>(sql`with ${loadCte()}
    select count(*)::int as able from ${workersWithLoad}
    where ${isFree} and ${mayTake(inDatabase(task))} and ${isReachable}`);
  return rows[0]?.able ?? 0;
}

/** The labels that keep every online worker from the task; none where one online worker has them all. */
export async function findMissingLabels(db: Db, { requires }: Task): Promise<Reason[]> {
  if (requires.length === 0) return [];
  const online = (labels: SQL) =>
    sql`exists (select from ${workers} where ${workers.status} = 'online' and ${hasLabels(labels)})`;
  const all = sql`${JSON.stringify(requires)}::jsonb`;
  const { rows } = await db.execute<{ missing: string[]; together: boolean }>(sql`
    select array(select label from jsonb_array_elements_text(${all}) as label where not ${online(sql`jsonb_build_array(label)`)}) as missing,
      ${online(all)} as together`);
  const [{ missing, together } = { missing: [], together: true }] = rows;
  if (together) return [];
  if (missing.length > 0)
    return [
      {
        says: `No worker that is online has the label(s) ${missing.join(", ")}.`,
        cause: { code: "labels_missing", labels: missing },
      },
    ];
  return [
    {
      says: `No worker that is online has all of the labels ${requires.join(", ")}.`,
      cause: { code: "labels_scattered", labels: requires },
    },
  ];
}

/**
 * Up to three workers that could take the task later, in this order: full ones, resting ones (the shortest rest first), drained ones. A worker whose
 * account is at its limit is left to `limitsFor`.
 */
export async function findWorkersInReach(db: Db, task: Task): Promise<Reason[]> {
  const isFull = sql`(${maxConcurrency} > 0 and ${load} >= ${maxConcurrency})`;
  const { rows } = await db.execute<{
    id: string;
    drain: Drain | null;
    rest: Rest | null;
    active: number;
    slots: number;
  }>(sql`
    with ${loadCte()}
    select ${workers.id} as id, case when ${isDrained} then ${workers.drain} end as drain, ${ownRest} as rest, ${load}::int as active, ${maxConcurrency} as slots
    from ${workersWithLoad}
    where ${workers.status} = 'online' and (${workers.has_cli} or ${ownRest} ->> 'kind' = 'no_cli') and ${accountRest} is null and ${mayTake(inDatabase(task))}
      and ${isReachable} and (${isDrained} or ${ownRest} is not null or ${isFull})
    order by ${isDrained}, ${ownRest} is not null, (${ownRest} ->> 'until')::bigint nulls last, ${workers.id} limit 3`);
  return rows.map(({ id: worker_id, drain, rest, active, slots }) => {
    if (drain === null && rest !== null)
      return {
        says: `Worker ${worker_id} ${restInWords(rest).replace(/[.\s]*$/, ".")}`,
        cause: { code: "worker_rests", worker_id, kind: rest.kind, said: rest.reason, ...endIn(rest) },
      };
    if (drain === null)
      return {
        says: `Worker ${worker_id} is busy (${active} of ${slots}) and takes it when it is free.`,
        cause: { code: "worker_full", worker_id, count: active, of: slots },
      };
    const why = drain.reason && `: ${drain.reason.replace(/[.\s]*$/, "")}`;
    const until = drain.until === null ? "" : ` until ${isoTime(drain.until)}`;
    return {
      says: `Worker ${worker_id} is drained${until}${why}. Resume it to have it take the task.`,
      cause: { code: "worker_drained", worker_id, ...(drain.reason && { said: drain.reason }), ...endIn(drain) },
    };
  });
}

/** The limits of accounts whose online workers could otherwise take the task: three at most, those that end first. */
export async function limitsFor(db: Db, task: Task): Promise<Reason[]> {
  const until = sql<number>`max((${workers.account_rest} ->> 'until')::bigint)`;
  const limited = await db
    .select({ account: accountOf, until })
    .from(workers)
    .where(sql`${workers.status} = 'online' and ${accountRest} is not null and ${mayTake(inDatabase(task))}`)
    .groupBy(accountOf)
    .orderBy(until)
    .limit(3);
  return limited.map(({ account, until }) => ({
    says: `Account ${account} is limited until ${isoTime(Number(until))}.`,
    cause: { code: "account_limited", account, until: Number(until) },
  }));
}

/**
 * The first 200 workers by name, each with the reasons why it has not got the task. A reason says why the service does not choose the worker by
 * itself: a worker without a CLI can still claim the task, and a caller can lease it to a worker whose agent is not called now.
 */
export async function explainWorkers(db: Db, task: Task): Promise<Explanation["workers"]> {
  return (await readWorkers(db, task)).map((worker) => {
    const reasons = reasonsOf(worker);
    return {
      worker_id: worker.id,
      reasons: reasons.map(({ says }) => says),
      because: reasons.map(({ cause }) => cause),
    };
  });
}

const readWorkers = (db: Db, task: Task) =>
  db
    .select({
      id: workers.id,
      status: workers.status,
      hasCli: workers.has_cli,
      slots: workers.slots,
      last_heartbeat: workers.last_heartbeat,
      drain: workers.drain,
      rest: ownRest,
      accountRest,
      waitsForAccount: sql<boolean>`${isPaced} and not ${isAccountIdle}`,
      account: accountOf,
      refusals: workers.refusals,
      paused_until: workers.paused_until,
      active: activeLeases,
      refusalsOfTask: refusalsOf(inDatabase(task)),
      isDrained: sql<boolean>`${isDrained}`,
      answered_by: workers.answered_by,
      isPaused: sql<boolean>`${workers.url} <> '' and ${isPaused}`,
    })
    .from(workers)
    .orderBy(asc(workers.id))
    .limit(MOST_WORKERS);

type WorkerToExplain = Awaited<ReturnType<typeof readWorkers>>[number];

function reasonsOf({ status, last_heartbeat, drain, rest, accountRest, account, ...is }: WorkerToExplain): Reason[] {
  const { active, refusals, paused_until, answered_by } = is;
  const seen = last_heartbeat === null ? "never seen" : `last seen ${isoTime(last_heartbeat)}`;
  const found: (Reason | false)[] = [
    status !== "online" && {
      says: `is ${status}, ${seen}`,
      cause: { code: "not_online", state: status, ...(last_heartbeat !== null && { since: last_heartbeat }) },
    },
    !is.hasCli && { says: "has no CLI, so that it gets only what it claims", cause: { code: "no_cli" } },
    is.isDrained && {
      says: `is drained${drain?.reason && `: ${drain.reason}`}`,
      cause: { code: "drained", ...(drain?.reason && { said: drain.reason }), ...endIn(drain) },
    },
    rest !== null && restOf("rests", rest, {}),
    accountRest !== null && restOf("account_rests", accountRest, { account }),
    is.waitsForAccount && {
      says: `shares account ${account}, which gets one task at a time now: most of its allowance is used`,
      cause: { code: "account_paced", account },
    },
    ...is.refusalsOfTask,
    active >= (is.slots ?? 0) && {
      says: `is full: ${active} of ${is.slots}`,
      cause: { code: "full", count: active, of: is.slots ?? 0 },
    },
    answered_by !== null && {
      says: `has an address at which the node "${answered_by}" answers, so that its agent is not called`,
      cause: { code: "other_node", node: answered_by },
    },
    is.isPaused && {
      says: `refused ${refusals} times; left alone until ${isoTime(paused_until ?? 0)}`,
      cause: { code: "left_alone", count: refusals, until: paused_until ?? 0 },
    },
  ];
  return found.filter((reason) => reason !== false);
}

const endIn = (stop: { until: number | null } | null) => (stop?.until == null ? {} : { until: stop.until });

const restOf = (code: "rests" | "account_rests", rest: Rest, about: { account?: string }): Reason => ({
  says: restInWords(rest),
  cause: { code, ...about, kind: rest.kind, said: rest.reason, ...endIn(rest) },
});
