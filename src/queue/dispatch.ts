import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { outsideRequest } from "../context.ts";
import type { DispatchTask } from "../contract/requests.ts";
import type { Lease, Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { messageOf, NotFound, Refusal, Unavailable } from "../errors.ts";
import { type AgentCalls, AgentFault, type Execution, executeOn } from "../fleet/node-agent.ts";
import { noteAccepted, noteRefused } from "../fleet/refusals.ts";
import { getWorker } from "../fleet/workers.ts";
import type { ArtifactStore } from "../storage/place.ts";
import { completeTask } from "./complete.ts";
import { heartbeat } from "./heartbeat.ts";
import { leaseTask } from "./lease.ts";
import { releaseTask } from "./release.ts";
import { getTask } from "./tasks.ts";

/** An agent that refuses does so at once; who says nothing for so long has begun. */
const GRACE_MS = 1_000;
const BEATS_PER_TTL = 3;

/** 400: the worker that was named has no address. */
export class NoUrl extends Refusal {
  readonly status = 400;
}

export interface Dispatched {
  task_id: string;
  worker_id: string;
  lease_id: string;
  execution: { ok: true; started: true };
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
   * Leases the task to a worker with an address and lets its agent execute it. Resolves when that has begun. NotFound, Conflict and
   * Unavailable as for `leaseTask`; NoUrl; NotDispatched.
   */
  dispatch(taskId: string, request: DispatchTask, runtimeUrl: string | undefined): Promise<Dispatched>;
  /** Lets go of the open calls: the agents go on, and complete by themselves; whose answer is lost is recovered by its lease. */
  stop(): Promise<void>;
}

/** Calls node agents, and looks after each call until it ends: while it is open, it is the task's sign of life. */
export function createDispatcher(db: Db, store: ArtifactStore, agents: AgentCalls, log: Logger): Dispatcher {
  const stopping = new AbortController();
  const open = new Set<Promise<void>>();

  /** Renews the lease while the agent works. A lease that is lost is the agent's to notice. */
  async function keepAlive({ id }: Task, lease: Lease, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await delay((lease.ttl_seconds * 1_000) / BEATS_PER_TTL, undefined, { signal: ended }).catch(() => {});
      if (ended.aborted) return;
      await heartbeat(db, id, { lease_id: lease.id }).catch((error) =>
        log.debug({ task: id, reason: messageOf(error) }, "the lease of a dispatched task was not renewed"),
      );
    }
  }

  /** The agent's own completion counts; one that never came is made from its answer, once: both come under the same lease. */
  async function settle(
    task: Task,
    lease: Lease,
    { ok, output, error, duration_ms, returncode }: Execution,
  ): Promise<void> {
    const now = await getTask(db, task.id);
    if (now.lease_id !== lease.id || (now.status !== "leased" && now.status !== "running")) return;
    await completeTask(db, store, now, {
      status: ok ? "success" : "error",
      output: output ?? null,
      error_message: ok ? null : (error ?? `The agent's command ended with ${returncode ?? "an error"}`),
      metrics: { duration_ms: Math.round(duration_ms ?? Date.now() - lease.started_at) },
      artifact_type: "LLM_RESULT",
      artifact_tags: [],
      lease_id: lease.id,
      output_id: undefined,
      retryable: true,
    });
  }

  async function lookAfter(task: Task, lease: Lease, executing: Promise<Execution>): Promise<void> {
    const ended = new AbortController();
    const alive = keepAlive(task, lease, AbortSignal.any([ended.signal, stopping.signal]));
    try {
      await settle(task, lease, await executing);
    } catch (error) {
      // The agent may have died, or only the way to it. Its lease tells, and brings the task back.
      const level = stopping.signal.aborted || error instanceof Refusal ? "debug" : "warn";
      log[level](
        { task: task.id, worker: lease.worker_id, reason: messageOf(error) },
        "a dispatched task was left to its lease",
      );
    } finally {
      ended.abort();
      await alive;
    }
  }

  return {
    async dispatch(taskId, { worker_id, ttl_seconds }, runtimeUrl) {
      if (worker_id !== undefined) await requireUrl(db, worker_id);
      const { lease, worker } = await leaseTask(db, taskId, { worker_id, ttl_seconds }, { withUrl: true });
      const task = await getTask(db, taskId);
      const executing = executeOn(agents, worker.url, task, runtimeUrl, stopping.signal);
      const fault = await Promise.race([
        executing.then(
          () => undefined,
          (error: unknown) => error,
        ),
        delay(GRACE_MS),
      ]);
      if (fault instanceof AgentFault && fault.refused) {
        await noteRefused(db, worker.id);
        await releaseTask(db, taskId, { lease_id: lease.id, reason: fault.message });
        throw new NotDispatched(taskId, worker.id, fault.message);
      }
      await noteAccepted(db, worker.id);
      const looking = outsideRequest(() => lookAfter(task, lease, executing)).finally(() => open.delete(looking));
      open.add(looking);
      return { task_id: taskId, worker_id: worker.id, lease_id: lease.id, execution: { ok: true, started: true } };
    },
    async stop() {
      stopping.abort();
      await Promise.all(open);
    },
  };
}

async function requireUrl(db: Db, workerId: string): Promise<void> {
  const worker = await getWorker(db, workerId).catch((error) => {
    // As for a lease: an unknown worker is one that is not there to work.
    throw error instanceof NotFound ? new Unavailable("No available worker with free capacity") : error;
  });
  if (worker.url === "") throw new NoUrl(`Worker "${workerId}" has no URL configured`);
}
