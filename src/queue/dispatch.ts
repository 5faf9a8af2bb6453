import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { DispatchTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { Conflict, NotFound, Refusal, Unavailable } from "../errors.ts";
import { requireOwnAgent } from "../fleet/identity.ts";
import { type AgentCalls, executeOn } from "../fleet/node-agent.ts";
import { getWorker } from "../fleet/workers.ts";
import type { ArtifactStore } from "../storage/place.ts";
import { followDispatch } from "./follow-dispatch.ts";
import { leaseTask } from "./lease.ts";
import { getTask } from "./tasks.ts";

/** An agent that refuses does so at once; who says nothing for so long has begun. */
const GRACE_MS = 1_000;
/** For the database to take the task back. If it does not answer, that is done when it does, and the caller hears that the task was dispatched. */
const RELEASE_WITHIN_MS = 5_000;

/** 400: the worker that was named has no address. */
export class NoUrl extends Refusal {
  readonly status = 400;
}

export interface Dispatched {
  task_id: string;
  worker_id: string;
  lease_id: string;
  execution: { ok: true; started: true };
  /** It was on its way to that worker before, under that lease. */
  already?: true;
}

/** The agent refused: the task is queued again, with its attempt given back (502). */
export class NotDispatched extends Error {
  readonly taskId: string;
  readonly workerId: string;
  constructor(taskId: string, workerId: string, message: string) {
    super(message);
    this.taskId = taskId;
    this.workerId = workerId;
  }
}

export interface Dispatcher {
  /**
   * Leases the task to a worker with an address and lets its agent execute it. Resolves when that has begun, and at once when the task is on its
   * way already, unless to another worker than is named. NotFound, Conflict and Unavailable as for `leaseTask`; NoUrl; NotDispatched. `by` is the database as the caller uses it.
   */
  dispatch(taskId: string, request: DispatchTask, runtimeUrl: string | undefined, by?: Db): Promise<Dispatched>;
  /** Lets go of the open calls: the agents go on, and complete by themselves; whose answer is lost is recovered by its lease. */
  stop(): Promise<void>;
}

/** Calls node agents, and looks after each call until it ends. */
export function createDispatcher(db: Db, store: ArtifactStore, agents: AgentCalls, log: Logger): Dispatcher {
  const stopping = new AbortController();
  // As many listen as calls are open.
  setMaxListeners(0, stopping.signal);
  const care = { db, store, log, stopping: stopping.signal, ownCompletionMs: agents.ownCompletionMs };
  const open = new Set<Promise<unknown>>();

  return {
    async dispatch(taskId, { worker_id, ttl_seconds }, runtimeUrl, by = db) {
      // All reading comes before the lease: from then on nothing may fail but the call.
      const task = await getTask(db, taskId);
      const before = onItsWay(task, worker_id);
      if (before) return before;
      if (worker_id !== undefined) await requireUrl(db, worker_id);
      const grant = await leaseTask(by, taskId, { worker_id, ttl_seconds }, { withUrl: true }).catch(async (error) => {
        const meanwhile = error instanceof Conflict ? onItsWay(await getTask(db, taskId), worker_id) : undefined;
        if (meanwhile) return meanwhile;
        throw error;
      });
      if ("already" in grant) return grant;
      const { lease, worker } = grant;
      const identified = requireOwnAgent(db, agents.outbound, worker, stopping.signal);
      const executing = identified.then(() => executeOn(agents, worker.url, task, runtimeUrl, stopping.signal));
      const looking = followDispatch(care, task, lease, executing);
      open.add(looking);
      void looking.finally(() => open.delete(looking));

      const grace = identified.then(nothing, nothing).then(() => delay(GRACE_MS));
      const fault = await Promise.race([executing.then(nothing, (error: unknown) => error), grace]);
      if (fault) {
        const refused = await Promise.race([looking, delay(RELEASE_WITHIN_MS)]);
        if (refused !== undefined) throw new NotDispatched(task.id, worker.id, refused);
      }
      return { task_id: task.id, worker_id: worker.id, lease_id: lease.id, execution: { ok: true, started: true } };
    },
    async stop() {
      stopping.abort();
      await Promise.all(open);
    },
  };
}

const nothing = () => undefined;

/** What is answered for a task that a worker holds, where the caller named none or that one. */
function onItsWay({ id, status, worker_id, lease_id }: Task, named: string | undefined) {
  const isHeld = status === "leased" || status === "running";
  if (!isHeld || worker_id === null || lease_id === null || (named ?? worker_id) !== worker_id) return undefined;
  return { task_id: id, worker_id, lease_id, execution: { ok: true, started: true }, already: true } as const;
}

async function requireUrl(db: Db, workerId: string): Promise<void> {
  const worker = await getWorker(db, workerId).catch((error) => {
    // As for a lease: an unknown worker is one that is not there to work.
    throw error instanceof NotFound ? new Unavailable("No available worker with free capacity") : error;
  });
  if (worker.url === "") throw new NoUrl(`Worker "${workerId}" has no URL configured`);
}
