import { type SQL, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Lease, WorkerWithLoad } from "../contract/record-types.ts";
import type { LeaseTask } from "../contract/requests.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { isUuid, newId } from "../db/ids.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import type { WorkerRow } from "../db/row-types.ts";
import { statement, transition } from "../db/statement.ts";
import { llmTasks } from "../db/task-tables.ts";
import { Conflict, Unavailable } from "../errors.ts";
import { isAccountFree } from "../fleet/account-pace.ts";
import { activeLeasesOfLocked, maxConcurrency } from "../fleet/capacity.ts";
import { isAvailable, isDrained, mayTake, takesNewWork } from "../fleet/matching.ts";
import { bestWorker } from "../fleet/router.ts";
import { currentRest, isResting, Resting, restSeconds } from "../fleet/worker-rest.ts";
import { findKeyHolder, isKeyFree } from "./concurrency-key.ts";
import { newLeaseCtes, ttlSecondsColumn } from "./new-lease.ts";
import { releaseIfAnswerLost } from "./release-undelivered.ts";
import { dueAt, getTask, isDue } from "./tasks.ts";

/** A new lease, and its worker as it was before this lease. */
interface LeaseAndWorker {
  lease: Lease;
  worker: WorkerWithLoad;
}

type Values = {
  taskId: string;
  /** The worker that shall have the task; null for the best one. A worker that the caller names needs neither to be online, nor labels, nor room. */
  workerId: string | null;
  withUrl: boolean;
  ttlSeconds: number | null;
  leaseId: string;
  entryId: string;
  actor: string;
};
const given = (name: keyof Values) => sql.placeholder(name);

interface Picked {
  now: number;
  /** How long the task was due. */
  waited_ms: number;
  context_id: string;
  ttl_seconds: number;
  worker: WorkerRow;
  active_leases: number;
}

const named = sql`${given("workerId")}::text`;
const best = bestWorker(
  (column) => sql`(select ${sql.identifier(column)} from task)`,
  sql`${given("withUrl")}::boolean`,
);

/**
 * The first try passes over workers that another lease has locked just now; later tries wait for the best worker. `worker` changes the worker's
 * row, which locks it, and then counts its leases (see `activeLeasesOfLocked`). The worker's record comes as JSON: as columns it took a fifth of
 * the driver's time.
 */
const leaseStatement = (name: string, lock: SQL) =>
  statement<Picked, Values>(
    name,
    sql`with task as (
      select *, ${takeableFrom(llmTasks)} as takeable_from from llm_tasks
      where id = ${given("taskId")} and (status = 'queued') is true and ${isDue} and ${isKeyFree}
      for no key update
    ), worker as (
      update ${workers} set served_context = task.context_id, served_at = ${nowMs}
      from task
      where ${workers.id} = coalesce(${named}, (${best}${lock})) and ${takesNewWork}
        and (${named} is not null or (${isAvailable} and ${mayTake((column) => sql`task.${sql.identifier(column)}`)} and ${isAccountFree}))
      returning ${workers.id}, ${workers.served_at} as now, ${maxConcurrency} as room, row_to_json(${workers}.*) as record,
        ${activeLeasesOfLocked(sql`${workers.id}`)} as active_leases, task.id as task_id, task.context_id, task.policy, task.takeable_from
    ), picked as (
      select task_id, id as worker_id, context_id, now, takeable_from, record, active_leases, ${ttlSecondsColumn(sql`${given("ttlSeconds")}`)},
        ${given("leaseId")}::uuid as lease_id, ${given("entryId")}::uuid as entry_id
      from worker where ${named} is not null or active_leases < room
    ), ${newLeaseCtes(sql`${given("actor")}`, "without rows")}
    select now, now - takeable_from as waited_ms, context_id, ttl_seconds, record as worker, active_leases from picked`,
  );
const LEASE = leaseStatement("lease", sql` for no key update of workers skip locked`);
const LEASE_WAITING = leaseStatement("lease_waiting", sql``);

const HAS_BEST = statement<{ id: string }, { taskId: string; withUrl: boolean }>(
  "best_worker",
  bestWorker(
    (column) =>
      sql`(select ${llmTasks[column]} from ${llmTasks} where ${llmTasks.id} = ${sql.placeholder("taskId")}::uuid)`,
    sql`${sql.placeholder("withUrl")}::boolean`,
  ),
);

/** True when some worker could take the task now, whatever its status. */
async function hasWorkerFor(db: Db, taskId: string, withUrl: boolean): Promise<boolean> {
  return (await HAS_BEST(db, { taskId, withUrl })).length > 0;
}

/**
 * The transition queued -> leased, to the worker `worker_id`, or to the best worker with room (fleet/router.ts); with `withUrl`, only to a worker
 * whose agent can be called. NotFound: no such task. Conflict: the task is not queued, not due yet, or another with its concurrency key is running.
 * Unavailable: no such worker, or no worker has room. Resting: the named worker rests.
 */
export async function leaseTask(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  { worker_id, ttl_seconds }: LeaseTask,
  { withUrl = false }: { withUrl?: boolean } = {},
): Promise<LeaseAndWorker> {
  if (!isUuid(taskId)) await getTask(db, taskId);
  const leaseId = newId();
  const values = {
    taskId,
    workerId: worker_id ?? null,
    withUrl,
    ttlSeconds: ttl_seconds ?? null,
    leaseId,
    entryId: newId(),
    actor: actorOf(caller, "router"),
  };
  let attempts = 0;
  const {
    now,
    waited_ms,
    context_id,
    ttl_seconds: ttl,
    worker,
    active_leases,
  } = await releaseIfAnswerLost(db, caller, [leaseId], () =>
    transition(
      () => (attempts++ === 0 ? LEASE : LEASE_WAITING)(db, values),
      () => refuse(db, taskId, worker_id, withUrl),
    ),
  );
  db.meters.taskWait.observe(waited_ms / 1_000);
  // These are the values that were stored. To read them back took 3 % of the statement.
  const lease: Lease = {
    id: leaseId,
    task_id: taskId.toLowerCase(),
    worker_id: worker.id,
    started_at: now,
    expires_at: now + ttl * 1_000,
    ttl_seconds: ttl,
    status: "active",
    last_heartbeat: now,
    context_id,
  };
  // A worker that gets a lease is neither drained nor resting, but its row may still hold a drain or a rest whose end has passed.
  return { lease, worker: { ...worker, drain: null, rest: null, account_rest: null, active_leases } };
}

/** Throws the reason why the task cannot be leased. When there is none, the chosen worker became full meanwhile, and another is free. */
async function refuse(db: Db, taskId: string, workerId: string | undefined, withUrl: boolean): Promise<void> {
  const task = await getTask(db, taskId);
  if (task.status !== "queued") throw new Conflict(`Task status is '${task.status}', expected 'queued'`);
  const holder = await findKeyHolder(db, task);
  if (holder !== undefined)
    throw new Conflict(
      `Task ${holder} has the same concurrency_key and is running. Only one of them runs at a time; try again when that has ended.`,
    );
  const isMissing =
    workerId === undefined ? !(await hasWorkerFor(db, taskId, withUrl)) : !(await canBeNamed(db, workerId));
  if (isMissing) throw new Unavailable("No available worker with free capacity");
  if (!(await isTaskDue(db, taskId))) throw new Conflict(`Task is not due before ${dueAt(task)}`);
}

/** True when a caller may lease a task to the worker; false when there is no such worker, or it is drained. Resting: it rests. */
async function canBeNamed(db: Db, workerId: string): Promise<boolean> {
  const [found] = await db
    .select({ rest: currentRest, isResting: sql<boolean>`${isResting}`, seconds: restSeconds })
    .from(workers)
    .where(sql`${workers.id} = ${workerId} and not ${isDrained}`);
  if (found?.isResting && found.rest) throw new Resting(503, workerId, found.rest, found.seconds);
  return found !== undefined;
}

async function isTaskDue(db: Db, taskId: string): Promise<boolean> {
  const found = await db.select({ id: llmTasks.id }).from(llmTasks).where(sql`${llmTasks.id} = ${taskId} and ${isDue}`);
  return found.length > 0;
}
