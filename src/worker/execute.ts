import type { Logger } from "pino";
import { pause } from "../abort-signals.ts";
import { messageOf } from "../errors.ts";
import { saysCannotRun } from "../unrunnable-command.ts";
import type { Command } from "./cli-command.ts";
import { folderFault } from "./command-folder.ts";
import { deliver, type Outcome } from "./deliver.ts";
import { sendLiveOutput } from "./live-output.ts";
import { logWaitingResult } from "./log-waiting-result.ts";
import { runCommand } from "./run-command.ts";
import { isRecord, REFUSED_PAUSE_MS, type RuntimeClient, type Work } from "./runtime-client.ts";
import { createTaskFolder, type TaskFolder } from "./task-folder.ts";

const BEAT_WITHIN_MS = 10_000;
const LONGEST_BEAT_MS = 10_000;
const SHORTEST_BEAT_MS = 200;
/** A command that fails within this time may have failed because of this machine. */
const FAST_MS = 10_000;
/** How many characters of an error are logged. The result has all of it. */
const LONGEST_REASON = 300;
const RELEASE_WITHIN_MS = 5_000;
const RELEASE_TRIES = 3;

/** `draining`: somebody asked the worker to end. `giveUp`: to end at once. */
export interface Ending {
  draining: AbortSignal;
  giveUp: AbortSignal;
}

/** What an execution says about this machine. */
export type Verdict =
  /** The command ran, and what came of it is the task's. */
  | { kind: "ran"; failedFast: boolean }
  /** The command could not be run here, and the task was released. `isCommand`: the shell did not find the command. */
  | { kind: "unfit"; reason: string; isCommand: boolean }
  /** The worker was told to stop at once. */
  | { kind: "stopped" };

/** Releases the task, so that it costs no attempt. `started`: it was begun, and the reason is the worker's own. Never rejects. */
export async function releaseTask(
  client: RuntimeClient,
  { task, lease }: Work,
  reason: string,
  started: boolean,
): Promise<void> {
  const released = { id: task.id, lease_id: lease.id, reason, started };
  for (let tries = 0; tries < RELEASE_TRIES; tries++) {
    const answer = await client.ask((runtime, signal) => runtime.releaseTask(released, { signal }), RELEASE_WITHIN_MS);
    if (answer.ok || answer.status > 0) return;
  }
}

/**
 * Runs the command for a task and delivers its result, with heartbeats until then. The result is sent again until the runtime has accepted or
 * refused it for good; `giveUp` ends the command and the sending. After a fault of this machine the task is released, unless `isHopeless`: then
 * the task counts as failed. Never rejects.
 */
export async function execute(
  client: RuntimeClient,
  command: Command,
  work: Work,
  log: Logger,
  { draining, giveUp }: Ending,
  isHopeless = false,
): Promise<Verdict> {
  const stop = new AbortController();
  const delivered = new AbortController();
  const onGiveUp = () => stop.abort("was stopped with its worker");
  giveUp.addEventListener("abort", onGiveUp, { once: true });
  if (giveUp.aborted) onGiveUp();
  const beating = beat(client, work, log, stop, delivered.signal);
  const endBeats = async () => {
    delivered.abort();
    await beating;
  };
  let folder: TaskFolder | undefined;
  let showing: Promise<void> | undefined;
  const unfit = async (reason: string, isCommand: boolean): Promise<Verdict> => {
    await folder?.remove();
    await endBeats();
    await releaseTask(client, work, reason, true);
    log.warn({ task: work.task.id, reason }, "handed back");
    return { kind: "unfit", reason, isCommand };
  };
  try {
    try {
      folder = await createTaskFolder(work);
    } catch (error) {
      return await unfit(`its temporary folder cannot be written: ${messageOf(error)}`, false);
    }
    const noFolder = folderFault(command.folder);
    if (noFolder && !isHopeless) return await unfit(noFolder, false);
    const startedAt = performance.now();
    const over = new AbortController();
    showing = sendLiveOutput(client, work, folder.outputFile, over.signal);
    const ended = await runCommand(command, work, folder, stop.signal).finally(() => over.abort());
    if (giveUp.aborted) {
      await endBeats();
      await releaseTask(client, work, "the worker was stopped", true);
      return { kind: "stopped" };
    }
    const noRoom = await folder.requireRoom().then(
      () => undefined,
      (error: unknown) => `its temporary folder is full: ${messageOf(error)}`,
    );
    const isCommand = !ended.stopped && saysCannotRun(ended.exitCode);
    if (!isHopeless && (noRoom !== undefined || isCommand)) {
      const complaint = isCommand ? (await folder.complaint()).slice(-LONGEST_REASON) : "";
      const why = `its command could not be run (exit code ${ended.exitCode})${complaint && `: ${complaint}`}`;
      return await unfit(noRoom ?? why, isCommand);
    }
    const fault = noRoom === undefined ? ended.fault : `could not be run: ${noRoom}`;
    const { exitCode, isTimeout } = ended;
    const durationMs = Math.round(performance.now() - startedAt);
    const cli = noRoom === undefined && !isCommand ? command.cli : undefined;
    const outcome = { fault, isTimeout, exitCode, cli, durationMs };
    const { isFault } = await handIn(client, work, folder, outcome, log, { draining, giveUp });
    return { kind: "ran", failedFast: isFault && !ended.stopped && durationMs < FAST_MS };
  } catch (error) {
    log.error({ task: work.task.id, reason: messageOf(error) }, "the result could not be delivered");
    return { kind: "ran", failedFast: false };
  } finally {
    giveUp.removeEventListener("abort", onGiveUp);
    await endBeats();
    await showing;
    await folder?.remove();
  }
}

/** Hands in the result. `isFault`: the task failed, and this machine may be the reason. */
async function handIn(
  client: RuntimeClient,
  work: Work,
  folder: TaskFolder,
  outcome: Outcome,
  log: Logger,
  { draining, giveUp }: Ending,
): Promise<{ isFault: boolean }> {
  const complaint = outcome.fault && (await folder.complaint()).slice(-LONGEST_REASON);
  const { waits, isOver } = logWaitingResult(log, work.task.id, draining);
  const { handedIn, ...answer } = await deliver(client, work, folder, outcome, giveUp, waits).finally(isOver);
  const { task, result: decided } = (outcome.cli && answer.ok && answer.value) || {};
  const ownReason = outcome.fault && `${outcome.fault}${complaint && `: ${complaint}`}`;
  // The task has the message with its times as dates; an older runtime's has not.
  const reason = decided ? (task?.last_error ?? decided.error_message)?.slice(0, LONGEST_REASON) : ownReason;
  // An older runtime says nothing of kinds.
  const kind = decided?.error_kind ?? null;
  const facts = { task: work.task.id, reason, kind, duration_ms: outcome.durationMs, handedIn };
  if (!answer.ok) log.warn({ ...facts, error: answer.error }, `the result was not taken: ${answer.status}`);
  else if (reason) log.warn(facts, "completed with an error");
  else log.info(facts, "completed");
  return { isFault: decided ? decided.error_message !== null && OWN_KINDS.has(kind) : reason !== undefined };
}

/** The kinds of failures that may be this machine's own fault; null is a failure without a kind. */
const OWN_KINDS = new Set<string | null>([null, "crashed", "parse_error"]);

/** Sends heartbeats until `delivered`, and stops the command when the task is cancelled or another lease holds it. Never rejects. */
async function beat(
  client: RuntimeClient,
  { task, lease }: Work,
  log: Logger,
  stop: AbortController,
  delivered: AbortSignal,
): Promise<void> {
  const held = { id: task.id, lease_id: lease.id };
  let pauseMs = Math.min(LONGEST_BEAT_MS, (lease.ttl_seconds * 1_000) / 3);
  /** The reason that was logged last: the key may be refused for an hour. */
  let logged = "";
  while (!delivered.aborted) {
    const answer = await client.ask(
      (runtime, signal) => runtime.heartbeatTask(held, { signal }),
      BEAT_WITHIN_MS,
      delivered,
      isRecord,
    );
    if (answer.ok) {
      logged = "";
      const { cancel, next_heartbeat_ms } = answer.value;
      if (cancel) stop.abort("was stopped: the task was cancelled");
      if (typeof next_heartbeat_ms === "number")
        pauseMs = Math.min(LONGEST_BEAT_MS, Math.max(SHORTEST_BEAT_MS, next_heartbeat_ms));
    } else if (answer.status === 404 || answer.status === 409) {
      return stop.abort("was stopped: its lease was lost");
    } else if (!delivered.aborted) {
      const { status, error } = answer;
      const became =
        status === 0 ? "the runtime did not answer a heartbeat" : `the runtime refused a heartbeat: ${status}`;
      if (logged !== became + error) log.warn({ task: task.id, reason: error }, became);
      logged = became + error;
    }
    const isKeyRefused = !answer.ok && answer.status === 401 && !(await client.renewKey());
    // The pause ends early when the result is delivered.
    await pause(isKeyRefused ? REFUSED_PAUSE_MS : pauseMs, delivered);
  }
}
