import type { Logger } from "pino";
import { joinSignals, pause } from "../abort-signals.ts";
import { NOBODY } from "../caller.ts";
import type { Lease, Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { isDatabaseUnavailable } from "../db/faults.ts";
import { Conflict, messageOf, Refusal, Unavailable } from "../errors.ts";
import { AgentFault, type Execution } from "../fleet/execute-on-agent.ts";
import { recordAcceptance, recordRefusal } from "../fleet/refusing-agents.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { saysCannotRun } from "../unrunnable-command.ts";
import { completeTask } from "./complete.ts";
import { isHeld } from "./fence.ts";
import { getTask } from "./get-task.ts";
import { BEATS_PER_TTL } from "./new-lease.ts";
import { releaseTask } from "./release-task.ts";
import { renewDispatchedLease } from "./renew-dispatched-lease.ts";

/** An agent may answer a moment before its own completion arrives, which has the whole output. */
const OWN_COMPLETION_MS = 2_000;
/** The tag of an artifact that holds only the part of the output that an agent's answer had. */
const INCOMPLETE = "incomplete";
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** After this number of errors that are no fault of the database, the work is not tried again. */
const MOST_FAILURES = 5;

/** What following a dispatched task needs. */
export interface Deps {
  db: Db;
  store: OutputStorage;
  log: Logger;
  /** When this is aborted, no call is followed any more: the agents go on, and complete by themselves. */
  stopping: AbortSignal;
  /** How long to wait for an agent's own completion after its answer, in milliseconds. */
  ownCompletionMs?: number | undefined;
}

/** Why the agent refused the task, as a sentence; the task is queued again. Undefined: the call ended in any other way. */
export type Refused = string | undefined;

/**
 * Follows a dispatched task until the call to its agent has ended and its outcome is recorded. While the call is open, the lease is renewed.
 * An answer without an output only says that the agent has accepted the task: from then on, its lease, heartbeats and completion decide.
 * While the database is away, an answer or a refusal is kept, and recorded when the database is back. Never rejects.
 */
export async function followDispatch(
  deps: Deps,
  task: Task,
  lease: Lease,
  executing: Promise<Execution>,
): Promise<Refused> {
  const { log, stopping } = deps;
  const about = { task: task.id, worker: lease.worker_id };
  const ended = new AbortController();
  const open = joinSignals([ended.signal, stopping]);
  const alive = keepAlive(deps, lease, open.signal);
  try {
    return await recordEnd(deps, task, lease, executing);
  } catch (error) {
    // Either the agent has died, or only the connection to it. If it has died, the task comes back when its lease is overdue.
    const level = stopping.aborted || error instanceof Refusal ? "debug" : "warn";
    log[level]({ ...about, reason: messageOf(error) }, "a dispatched task was left to its lease");
    return undefined;
  } finally {
    ended.abort();
    await alive;
    open.forget();
  }
}

/** Renews the lease until `ended` is aborted or the lease is not active any more. */
async function keepAlive({ db, log }: Deps, lease: Lease, ended: AbortSignal): Promise<void> {
  let isRecorded = false;
  for (;;) {
    await pause((lease.ttl_seconds * 1_000) / BEATS_PER_TTL, ended);
    if (ended.aborted) return;
    try {
      const status = await renewDispatchedLease(db, lease.id);
      if (status === undefined) return;
      if (status === "running" && !isRecorded) await recordAcceptance(db, lease.worker_id);
      isRecorded ||= status === "running";
    } catch (error) {
      log.debug({ lease: lease.id, reason: messageOf(error) }, "the lease of a dispatched task was not renewed");
    }
  }
}

async function recordEnd(deps: Deps, task: Task, lease: Lease, executing: Promise<Execution>): Promise<Refused> {
  const startedAt = performance.now();
  let answer: Execution;
  try {
    answer = await executing;
  } catch (fault) {
    if (!(fault instanceof AgentFault) || fault.kind === "unknown") throw fault;
    if (await releaseRefused(deps, task, lease, fault)) return fault.message;
    // The task was not released, since a heartbeat has said that the agent is at work.
    if (fault.kind === "refused") throw fault;
    answer = { ok: false, output: undefined, error: fault.message };
  }
  await tryToRecord(deps, recordAcceptance(deps.db, lease.worker_id));
  if (answer.ok && answer.output === undefined) return undefined;
  if (answer.ok && (await stillHolds(deps, task, lease)))
    await pause(deps.ownCompletionMs ?? OWN_COMPLETION_MS, deps.stopping);
  const duration_ms = Math.round(answer.duration_ms ?? performance.now() - startedAt);
  await repeatUntilDone(deps, () => completeFromAnswer(deps, task, lease, { ...answer, duration_ms }));
  return undefined;
}

/** Releases a task that its agent refused. False when that is not possible, since the task was started or its lease has ended. */
async function releaseRefused(deps: Deps, task: Task, lease: Lease, { message }: AgentFault): Promise<boolean> {
  try {
    await repeatUntilDone(deps, () => releaseTask(deps.db, NOBODY, task.id, { lease_id: lease.id, reason: message }));
  } catch (error) {
    if (error instanceof Conflict) return false;
    throw error;
  }
  await tryToRecord(deps, recordRefusal(deps.db, lease.worker_id));
  return true;
}

/**
 * Completes the task from the agent's answer, unless the agent's own completion came before. An own completion that comes later is a Conflict, since
 * both come under the same lease. The part of the output that the answer has is marked as incomplete. A success whose lease was swept meanwhile is
 * submitted like any late completion (lifecycle.md, invariant 8).
 */
async function completeFromAnswer(
  deps: Deps,
  task: Task,
  lease: Lease,
  answer: Execution & { duration_ms: number },
): Promise<void> {
  const { ok, output, error, duration_ms, returncode } = answer;
  const now = await getTask(deps.db, task.id);
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
    retryable: true,
    error_kind: !ok && saysCannotRun(returncode) ? ("no_cli" as const) : null,
  };
  await completeTask(deps.db, NOBODY, deps.store, now.id, completion, { incomplete });
  if (incomplete)
    deps.log.warn(
      { task: task.id, worker: lease.worker_id },
      "an agent's own completion never came: what its answer has of the output is stored, marked as incomplete",
    );
}

async function stillHolds(deps: Deps, task: Task, lease: Lease): Promise<boolean> {
  const now = await repeatUntilDone(deps, () => getTask(deps.db, task.id));
  return now.lease_id === lease.id && isHeld(now);
}

/** Runs `work` until it succeeds or is refused. Throws the refusal, and any error when the service stops or the error has come five times. */
async function repeatUntilDone<T>({ log, stopping }: Deps, work: () => Promise<T>): Promise<T> {
  let failures = 0;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      const isBusy = error instanceof Unavailable;
      if (stopping.aborted || (error instanceof Refusal && !isBusy)) throw error;
      if (!isBusy && !isDatabaseUnavailable(error) && ++failures === MOST_FAILURES) throw error;
      log.warn({ reason: messageOf(error) }, "the end of a dispatched task cannot be written down yet");
    }
    await pause(pauseMs, stopping);
  }
}

/** Waits until it is recorded how an agent answered. A failure is only logged, since the next answer is recorded again. */
async function tryToRecord({ log }: Deps, recording: Promise<void>): Promise<void> {
  await recording.catch((error) => log.debug({ reason: messageOf(error) }, "how an agent answered was not recorded"));
}
