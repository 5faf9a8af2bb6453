import type { Logger } from "pino";
import type { Lease, Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { isDatabaseUnavailable } from "../db/faults.ts";
import { Conflict, messageOf, Refusal, Unavailable } from "../errors.ts";
import { AgentFault, type Execution } from "../fleet/node-agent.ts";
import { noteAccepted, noteRefused } from "../fleet/refusals.ts";
import { joinSignals, pause } from "../signals.ts";
import type { ArtifactStore } from "../storage/place.ts";
import { completeTask } from "./complete.ts";
import { isHeld } from "./fence.ts";
import { releaseTask } from "./release.ts";
import { BEATS_PER_TTL, renewLease } from "./renew.ts";
import { getTask } from "./tasks.ts";

/** An agent may answer a moment before its own completion, which has the whole output, has arrived. */
const OWN_COMPLETION_MS = 2_000;
/** The tag of an artifact that holds what an agent's answer had of the output. */
const INCOMPLETE = "incomplete";
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** What fails so often while the database answers will always fail. */
const STRIKES = 5;

export interface Care {
  db: Db;
  store: ArtifactStore;
  log: Logger;
  /** From then on nothing is looked after: the agents go on, and complete by themselves. */
  stopping: AbortSignal;
  /** How long an agent's own completion is waited for after its answer, in milliseconds. */
  ownCompletionMs?: number | undefined;
}

/** The sentence with which the agent refused the task, which is queued again. Undefined: the call ended in any other way. */
export type Refused = string | undefined;

/**
 * Looks after a dispatched task until its agent's call ends and what came of it is written down: while the call is open, the lease is renewed.
 * An answer without an output says no more than that the agent has accepted the task: its lease, heartbeats and completion decide from then on.
 * An answer, and a refusal, are kept over a while without a database. Never rejects.
 */
export async function followDispatch(
  care: Care,
  task: Task,
  lease: Lease,
  executing: Promise<Execution>,
): Promise<Refused> {
  const { log, stopping } = care;
  const about = { task: task.id, worker: lease.worker_id };
  const ended = new AbortController();
  const open = joinSignals([ended.signal, stopping]);
  const alive = keepAlive(care, lease, open.signal);
  try {
    return await endOf(care, task, lease, executing);
  } catch (error) {
    // The agent may have died, or only the way to it. Its lease tells, and brings the task back.
    const level = stopping.aborted || error instanceof Refusal ? "debug" : "warn";
    log[level]({ ...about, reason: messageOf(error) }, "a dispatched task was left to its lease");
    return undefined;
  } finally {
    ended.abort();
    await alive;
    open.forget();
  }
}

/** Renews the lease as long as it is active. */
async function keepAlive({ db, log }: Care, lease: Lease, ended: AbortSignal): Promise<void> {
  let isNoted = false;
  for (;;) {
    await pause((lease.ttl_seconds * 1_000) / BEATS_PER_TTL, ended);
    if (ended.aborted) return;
    try {
      const status = await renewLease(db, lease.id);
      if (status === undefined) return;
      if (status === "running" && !isNoted) await noteAccepted(db, lease.worker_id);
      isNoted ||= status === "running";
    } catch (error) {
      log.debug({ lease: lease.id, reason: messageOf(error) }, "the lease of a dispatched task was not renewed");
    }
  }
}

async function endOf(care: Care, task: Task, lease: Lease, executing: Promise<Execution>): Promise<Refused> {
  const startedAt = performance.now();
  let answer: Execution;
  try {
    answer = await executing;
  } catch (fault) {
    if (!(fault instanceof AgentFault) || fault.kind === "unknown") throw fault;
    if (await handedBack(care, task, lease, fault)) return fault.message;
    // It was at work: a heartbeat has said so.
    if (fault.kind === "refused") throw fault;
    answer = { ok: false, output: undefined, error: fault.message };
  }
  await tryToRecord(care, noteAccepted(care.db, lease.worker_id));
  if (answer.ok && answer.output === undefined) return undefined;
  if (answer.ok && (await isHeldUnder(care, task, lease)))
    await pause(care.ownCompletionMs ?? OWN_COMPLETION_MS, care.stopping);
  const duration_ms = Math.round(answer.duration_ms ?? performance.now() - startedAt);
  await untilDone(care, () => settle(care, task, lease, { ...answer, duration_ms }));
  return undefined;
}

/** False: it cannot be handed back, for it was started, or its lease has ended. */
async function handedBack(care: Care, task: Task, lease: Lease, { message }: AgentFault): Promise<boolean> {
  try {
    await untilDone(care, () => releaseTask(care.db, task.id, { lease_id: lease.id, reason: message }));
  } catch (error) {
    if (error instanceof Conflict) return false;
    throw error;
  }
  await tryToRecord(care, noteRefused(care.db, lease.worker_id));
  return true;
}

/**
 * The agent's own completion counts; one that never came is made from its answer, once: both come under the same lease, and the second is a
 * Conflict. What the answer has of an output is marked as incomplete. A success whose lease was swept meanwhile is handed in as any other that
 * is late (lifecycle.md, invariant 8).
 */
async function settle(
  care: Care,
  task: Task,
  lease: Lease,
  answer: Execution & { duration_ms: number },
): Promise<void> {
  const { ok, output, error, duration_ms, returncode } = answer;
  const now = await getTask(care.db, task.id);
  const isOurs = now.lease_id === lease.id && isHeld(now);
  if (!isOurs && !ok) return;
  const incomplete = output !== undefined;
  const completion = {
    status: ok ? ("success" as const) : ("error" as const),
    output: output ?? null,
    error_message: ok ? null : (error ?? `The agent's command ended with ${returncode ?? "an error"}`),
    metrics: { duration_ms },
    artifact_type: "LLM_RESULT",
    artifact_tags: incomplete ? [INCOMPLETE] : [],
    lease_id: lease.id,
    output_id: undefined,
    retryable: true,
  };
  await completeTask(care.db, care.store, now.id, completion, { incomplete });
  if (incomplete)
    care.log.warn(
      { task: task.id, worker: lease.worker_id },
      "an agent's own completion never came: what its answer has of the output is stored, marked as incomplete",
    );
}

async function isHeldUnder(care: Care, task: Task, lease: Lease): Promise<boolean> {
  const now = await untilDone(care, () => getTask(care.db, task.id));
  return now.lease_id === lease.id && isHeld(now);
}

/** Runs `work` until it succeeds or is refused; throws the refusal, and any error when the service stops. */
async function untilDone<T>({ log, stopping }: Care, work: () => Promise<T>): Promise<T> {
  let strikes = 0;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      const isBusy = error instanceof Unavailable;
      if (stopping.aborted || (error instanceof Refusal && !isBusy)) throw error;
      if (!isBusy && !isDatabaseUnavailable(error) && ++strikes === STRIKES) throw error;
      log.warn({ reason: messageOf(error) }, "the end of a dispatched task cannot be written down yet");
    }
    await pause(pauseMs, stopping);
  }
}

/** Waits for what is written down about an agent. A failure is only logged: the next answer is written down again. */
async function tryToRecord({ log }: Care, recording: Promise<void>): Promise<void> {
  await recording.catch((error) => log.debug({ reason: messageOf(error) }, "how an agent answered was not noted"));
}
