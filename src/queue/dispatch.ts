import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Caller } from "../caller.ts";
import type { Dispatched, Task } from "../contract/record-types.ts";
import type { DispatchTask } from "../contract/requests.ts";
import type { Db } from "../db/client.ts";
import { Conflict, messageOf, NotFound, Refusal, Unavailable } from "../errors.ts";
import type { AgentCalls } from "../fleet/agent-http.ts";
import { requireOwnAgent } from "../fleet/agent-identity.ts";
import { type AnswerPlace, openLongAnswers, placeForAnswer } from "../fleet/answer-place.ts";
import { executeOn } from "../fleet/execute-on-agent.ts";
import { getWorker, noUrl } from "../fleet/workers.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { traceCall } from "../tracing/tracer.ts";
import { isHeld } from "./fence.ts";
import { followDispatch } from "./follow-dispatch.ts";
import { getTask } from "./get-task.ts";
import { type LeaseAndWorker, leaseTask } from "./lease-task.ts";
import { withResumeData } from "./resume-data.ts";

/** An agent that refuses a task does so at once. An agent that has said nothing for this time has begun. */
const GRACE_MS = 1_000;
/**
 * How long a caller waits for a refused task to be released. If the database does not answer in time, the caller hears that the task was
 * dispatched, and it is released later.
 */
const RELEASE_WITHIN_MS = 5_000;

/** 400: the named worker has no address. */
export class NoUrl extends Refusal {
  readonly status = 400;
}

/** 502: the agent refused the task, which is queued again with its attempt given back. */
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
   * Leases the task to a worker with an address and has its agent execute it. Resolves when the agent has begun, and at once when the task was
   * dispatched before to the same worker, or to any where the request names none. Without a caller, the service dispatches by itself.
   * NotFound, Conflict and Unavailable as for `leaseTask`; NoUrl; NotDispatched.
   */
  dispatch(taskId: string, request: DispatchTask, runtimeUrl: string | undefined, caller?: Caller): Promise<Dispatched>;
  /** Ends the open calls. The agents go on and complete by themselves; a task whose answer gets lost comes back when its lease is overdue. */
  stop(): Promise<void>;
}

/** Calls node agents, and follows each call until it ends. */
export function createDispatcher(db: Db, store: OutputStorage, agents: AgentCalls, log: Logger): Dispatcher {
  const stopping = new AbortController();
  // Each open call listens to this signal.
  setMaxListeners(0, stopping.signal);
  const deps = { db, store, log, stopping: stopping.signal, ownCompletionMs: agents.ownCompletionMs };
  const open = new Set<Promise<unknown>>();
  const longAnswers = openLongAnswers();

  /** Has the worker's agent execute the task, with what earlier work left for it. */
  async function executeWithResumeData(
    task: Task,
    { lease, worker }: LeaseAndWorker,
    place: AnswerPlace,
    runtimeUrl: string | undefined,
  ) {
    const [order = { task, traceparent: undefined }] = await withResumeData(db, worker.id, [{ task, lease }]).catch(
      (error) => {
        log.warn({ task: task.id, reason: messageOf(error) }, "a task is dispatched without what earlier work left");
        return [];
      },
    );
    const facts = {
      name: "dispatch to agent",
      attributes: { "bloom.task": task.id, "bloom.worker": worker.id, "bloom.lease": lease.id },
    };
    return traceCall(db.tracer, order.traceparent, facts, (traceparent) =>
      executeOn(agents, worker.url, { ...order, traceparent, place }, runtimeUrl, stopping.signal),
    );
  }

  return {
    async dispatch(taskId, { worker_id, ttl_seconds }, runtimeUrl, caller) {
      // The task is read before it is leased, so that afterwards nothing but the call can fail.
      const task = await getTask(db, taskId);
      const before = dispatchedBefore(task, worker_id);
      if (before) return before;
      if (worker_id !== undefined) await requireUrl(db, worker_id);
      const leased = await leaseOrFindHolder(db, caller, taskId, { worker_id, ttl_seconds });
      if ("already" in leased) return leased;
      const { lease, worker } = leased;
      const identified = requireOwnAgent(db, agents.outbound, worker, stopping.signal);
      const place = placeForAnswer(longAnswers);
      const executing = identified.then(() => executeWithResumeData(task, leased, place, runtimeUrl));
      const following = followDispatch(deps, task, lease, executing);
      open.add(following);
      void following.finally(() => {
        place.leave();
        open.delete(following);
      });

      if (await hasFailedAtOnce(identified, executing)) {
        const refused = await Promise.race([following, delay(RELEASE_WITHIN_MS)]);
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

/** Whether the call has failed within the time in which an agent refuses a task, counted from when the agent has said who it is. */
async function hasFailedAtOnce(identified: Promise<unknown>, executing: Promise<unknown>): Promise<boolean> {
  const hasFailed = executing.then(
    () => false,
    () => true,
  );
  const graceIsOver = identified.then(nothing, nothing).then(() => delay(GRACE_MS, false));
  return await Promise.race([hasFailed, graceIsOver]);
}

/** Leases the task to a worker with an address; or gives the answer for one that was dispatched in this moment by another call. */
function leaseOrFindHolder(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  request: DispatchTask,
): Promise<LeaseAndWorker | NonNullable<ReturnType<typeof dispatchedBefore>>> {
  return leaseTask(db, caller, taskId, request, { withUrl: true }).catch(async (error) => {
    const meanwhile =
      error instanceof Conflict ? dispatchedBefore(await getTask(db, taskId), request.worker_id) : undefined;
    if (meanwhile) return meanwhile;
    throw error;
  });
}

/** The answer for a task that a worker holds already; undefined where it is not held, or the caller named another worker. */
function dispatchedBefore(task: Task, named: string | undefined) {
  const { id, worker_id, lease_id } = task;
  if (!isHeld(task) || worker_id === null || lease_id === null || (named ?? worker_id) !== worker_id) return undefined;
  return { task_id: id, worker_id, lease_id, execution: { ok: true, started: true }, already: true } as const;
}

async function requireUrl(db: Db, workerId: string): Promise<void> {
  const worker = await getWorker(db, workerId).catch((error) => {
    // The lease call answers the same for an unknown worker.
    throw error instanceof NotFound ? new Unavailable("No available worker with free capacity") : error;
  });
  if (worker.url === "") throw new NoUrl(noUrl(workerId));
}
