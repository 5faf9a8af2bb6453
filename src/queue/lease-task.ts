import { sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Lease, WorkerWithLoad } from "../contract/record-types.ts";
import type { LeaseTask } from "../contract/requests.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { isUuid, newId } from "../db/ids.ts";
import { statement, transition } from "../db/statement.ts";
import { llmTasks } from "../db/task-tables.ts";
import { Conflict, Unavailable } from "../errors.ts";
import { isDrained } from "../fleet/matching.ts";
import { bestCandidate, candidates, NONE_BEFORE } from "../fleet/router.ts";
import { currentRest, isResting, Resting, restSeconds } from "../fleet/worker-rest.ts";
import { findKeyHolder } from "./concurrency-key.ts";
import { requireStatus } from "./fence.ts";
import { dueAt, getTask, isDue } from "./get-task.ts";
import { leaseRequests, ofTask } from "./lease-statement.ts";
import { releaseIfAnswerLost } from "./release-undelivered.ts";

/** A new lease, and its worker as it was before this lease. */
export interface LeaseAndWorker {
  lease: Lease;
  worker: WorkerWithLoad;
}

const FIND_CANDIDATE = statement<{ id: string }, { taskId: string; withUrl: boolean }>(
  "candidate",
  sql`with waiting as (select * from ${llmTasks} where ${llmTasks.id} = ${sql.placeholder("taskId")}), ${candidates(sql`select null::text`)}
    select best.id from waiting cross join lateral (
      ${bestCandidate(ofTask, sql`${sql.placeholder("withUrl")}::boolean`, NONE_BEFORE)}
    ) as best`,
);

/** True when some worker could take the task now, whatever its status. */
async function hasWorkerFor(db: Db, taskId: string, withUrl: boolean): Promise<boolean> {
  return (await FIND_CANDIDATE(db, { taskId, withUrl })).length > 0;
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
  const request = {
    task_id: taskId,
    named: worker_id ?? null,
    with_url: withUrl,
    wanted_seconds: ttl_seconds ?? null,
    new_lease: leaseId,
    entry_id: newId(),
    actor: actorOf(caller, "router"),
  };
  const {
    now,
    waited_ms,
    context_id,
    ttl_seconds: ttl,
    worker,
    active_leases,
  } = await releaseIfAnswerLost(db, caller, [leaseId], () =>
    transition(
      () => leaseRequests.send(db, request),
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

/**
 * Throws the reason why the task cannot be leased. Returns where it finds no reason: the worker became full, or all free ones are locked. The lease
 * is then tried again.
 */
async function refuse(db: Db, taskId: string, workerId: string | undefined, withUrl: boolean): Promise<void> {
  const task = await getTask(db, taskId);
  requireStatus(task, ["queued"]);
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
