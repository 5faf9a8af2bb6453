import { type SQL, sql } from "drizzle-orm";
import type { LeaseTask } from "../contract/requests.ts";
import type { Lease, WorkerWithLoad } from "../contract/views.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import type { WorkerRow } from "../db/rows.ts";
import { llmTasks, workers } from "../db/schema.ts";
import { statement, transition } from "../db/statement.ts";
import { Conflict, Unavailable } from "../errors.ts";
import { bestWorker } from "../fleet/candidates.ts";
import { activeLeasesOfLocked, isDrained, isEligible, maxConcurrency } from "../fleet/capacity.ts";
import { isResting, Resting, restSeconds } from "../fleet/rest.ts";
import { grantCtes, ttlFor } from "./grant.ts";
import { orHandBack } from "./hand-back.ts";
import { dueAt, getTask, isDue } from "./tasks.ts";

/** `worker` as it was before this lease. */
export interface LeaseAndWorker {
  lease: Lease;
  worker: WorkerWithLoad;
}

type Values = {
  taskId: string;
  /** Who shall have it; null for the best. A named worker is the caller's own decision: it needs neither to be online, nor labels, nor room. */
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
  context_id: string;
  ttl_seconds: number;
  worker: WorkerRow;
  active_leases: number;
}

const named = sql`${given("workerId")}::text`;
const task = { requires: sql`(select requires from task)`, contextId: sql`(select context_id from task)` };
const best = bestWorker(task, sql`${given("withUrl")}::boolean`);

/**
 * Among the candidates, the first try passes over those that another grant has locked just now; the next ones wait for the best.
 * `worker` is counted when its row is changed, and so locked: see `activeLeasesOfLocked`. Its record comes as JSON: as columns,
 * while each answer still described them, it took a fifth of the driver's time.
 */
const leaseStatement = (name: string, lock: SQL) =>
  statement<Picked, Values>(
    name,
    sql`with task as (
      select id, context_id, requires, policy from llm_tasks
      where id = ${given("taskId")} and (status = 'queued') is true and ${isDue}
      for no key update
    ), worker as (
      update ${workers} set served_context = task.context_id, served_at = ${nowMs}
      from task
      where ${workers.id} = coalesce(${named}, (${best}${lock})) and not ${isDrained} and not ${isResting}
        and (${named} is not null or ${isEligible(sql`task.requires`)})
      returning ${workers.id}, ${workers.served_at} as now, ${maxConcurrency} as room, row_to_json(${workers}.*) as record,
        ${activeLeasesOfLocked(sql`${workers.id}`)} as active_leases, task.id as task_id, task.context_id, task.policy
    ), picked as (
      select task_id, id as worker_id, context_id, now, record, active_leases, ${ttlFor(sql`${given("ttlSeconds")}`)},
        ${given("leaseId")}::uuid as lease_id, ${given("entryId")}::uuid as entry_id
      from worker where ${named} is not null or active_leases < room
    ), ${grantCtes(sql`${given("actor")}`, "without rows")}
    select now, context_id, ttl_seconds, record as worker, active_leases from picked`,
  );
const LEASE = leaseStatement("lease", sql` for no key update of workers skip locked`);
const LEASE_WAITING = leaseStatement("lease_waiting", sql``);

const HAS_BEST = statement<{ id: string }, { requires: string; contextId: string; withUrl: boolean }>(
  "best_worker",
  bestWorker(
    { requires: sql`${sql.placeholder("requires")}::jsonb`, contextId: sql`${sql.placeholder("contextId")}::text` },
    sql`${sql.placeholder("withUrl")}::boolean`,
  ),
);

/** True when some worker could take such a task now. */
export async function hasWorkerFor(
  db: Db,
  { requires, context_id }: { requires: string[]; context_id: string },
  withUrl: boolean,
): Promise<boolean> {
  const found = await HAS_BEST(db, { requires: JSON.stringify(requires), contextId: context_id, withUrl });
  return found.length > 0;
}

/**
 * One transition: queued -> leased, to `worker_id`, or to the best worker with room (fleet/candidates.ts), `withUrl` to one whose agent can be called.
 * NotFound: no such task. Conflict: it is not queued, or not due yet. Unavailable: no such worker, or nobody has room. Resting: it rests.
 */
export async function leaseTask(
  db: Db,
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
    actor: actorOf(db, "router"),
  };
  let attempts = 0;
  const {
    now,
    context_id,
    ttl_seconds: ttl,
    worker,
    active_leases,
  } = await orHandBack(db, [leaseId], () =>
    transition(
      () => (attempts++ === 0 ? LEASE : LEASE_WAITING)(db, values),
      () => refuse(db, taskId, worker_id, withUrl),
    ),
  );
  // As it was stored: reading it back took 3 % of the statement.
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
  // Whoever gets a lease is not drained and does not rest; one that did may still say so.
  return { lease, worker: { ...worker, drain: null, rest: null, active_leases } };
}

/** Throws why the task cannot be leased; when it finds nothing, the worker that was chosen became full meanwhile, and another is free. */
async function refuse(db: Db, taskId: string, workerId: string | undefined, withUrl: boolean): Promise<void> {
  const task = await getTask(db, taskId);
  if (task.status !== "queued") throw new Conflict(`Task status is '${task.status}', expected 'queued'`);
  const isMissing =
    workerId === undefined ? !(await hasWorkerFor(db, task, withUrl)) : !(await canBeNamed(db, workerId));
  if (isMissing) throw new Unavailable("No available worker with free capacity");
  if (!(await isTaskDue(db, taskId))) throw new Conflict(`Task is not due before ${dueAt(task)}`);
}

/** False: no such worker, or it is drained. Resting: it rests. */
async function canBeNamed(db: Db, workerId: string): Promise<boolean> {
  const [found] = await db
    .select({ rest: workers.rest, isResting: sql<boolean>`${isResting}`, seconds: restSeconds })
    .from(workers)
    .where(sql`${workers.id} = ${workerId} and not ${isDrained}`);
  if (found?.isResting && found.rest) throw new Resting(503, workerId, found.rest, found.seconds);
  return found !== undefined;
}

async function isTaskDue(db: Db, taskId: string): Promise<boolean> {
  const found = await db.select({ id: llmTasks.id }).from(llmTasks).where(sql`${llmTasks.id} = ${taskId} and ${isDue}`);
  return found.length > 0;
}
