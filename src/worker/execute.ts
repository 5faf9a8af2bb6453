import type { Logger } from "pino";
import { messageOf } from "../errors.ts";
import { saysCannotRun } from "../unrunnable-command.ts";
import type { Command } from "./cli-command.ts";
import { folderFault } from "./command-folder.ts";
import { deliver, type RunOutcome } from "./deliver.ts";
import { startHeartbeats } from "./heartbeats.ts";
import { sendLiveOutput } from "./live-output.ts";
import { logWaitingResult } from "./log-waiting-result.ts";
import { type Ended, runCommand } from "./run-command.ts";
import type { RuntimeClient, Work } from "./runtime-client.ts";
import { createTaskFolder, type TaskFolder } from "./task-folder.ts";

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
export async function sendRelease(
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
  const heartbeats = startHeartbeats(client, work, log, giveUp);
  let folder: TaskFolder | undefined;
  let showing: Promise<void> | undefined;
  // A heartbeat after the release would find that the lease is gone.
  const release = async (reason: string) => {
    await heartbeats.end();
    await sendRelease(client, work, reason, true);
  };
  const handBack = async ({ reason, isCommand }: Unfitness): Promise<Verdict> => {
    await folder?.remove();
    await release(reason);
    log.warn({ task: work.task.id, reason }, "handed back");
    return { kind: "unfit", reason, isCommand };
  };
  try {
    try {
      folder = await createTaskFolder(work);
    } catch (error) {
      return await handBack(unfitFolder(`its temporary folder cannot be written: ${messageOf(error)}`));
    }
    const noFolder = folderFault(command.folder);
    if (noFolder && !isHopeless) return await handBack(unfitFolder(noFolder));
    const startedAt = performance.now();
    const over = new AbortController();
    showing = sendLiveOutput(client, work, folder.outputFile, over.signal);
    const ended = await runCommand(command, work, folder, heartbeats.stop).finally(() => over.abort());
    const durationMs = Math.round(performance.now() - startedAt);
    if (giveUp.aborted) {
      await release("the worker was stopped");
      return { kind: "stopped" };
    }
    const unfitness = await whyUnfit(ended, folder);
    if (unfitness && !isHopeless) return await handBack(unfitness);
    const outcome = { ...outcomeOf(ended, unfitness, command), durationMs };
    const { isFault } = await handIn(client, work, folder, outcome, log, { draining, giveUp });
    return { kind: "ran", failedFast: isFault && !ended.stopped && durationMs < FAST_MS };
  } catch (error) {
    log.error({ task: work.task.id, reason: messageOf(error) }, "the result could not be delivered");
    return { kind: "ran", failedFast: false };
  } finally {
    await heartbeats.end();
    await showing;
    await folder?.remove();
  }
}

/** Why the command could not be run on this machine. */
interface Unfitness {
  reason: string;
  /** The shell did not find the command, or may not run it. */
  isCommand: boolean;
  /** The task's temporary folder is full, so that the output is not whole. */
  isFull: boolean;
}
const unfitFolder = (reason: string): Unfitness => ({ reason, isCommand: false, isFull: false });

/** Undefined where the command ran, whatever came of it. */
async function whyUnfit({ stopped, exitCode }: Ended, folder: TaskFolder): Promise<Unfitness | undefined> {
  const diskFault = await folder.requireFreeDisk().then(
    () => undefined,
    (error: unknown) => `its temporary folder is full: ${messageOf(error)}`,
  );
  const isCommand = !stopped && saysCannotRun(exitCode);
  if (diskFault !== undefined) return { reason: diskFault, isCommand, isFull: true };
  if (!isCommand) return undefined;
  const complaint = (await folder.complaint()).slice(-LONGEST_REASON);
  const reason = `its command could not be run (exit code ${exitCode})${complaint && `: ${complaint}`}`;
  return { reason, isCommand, isFull: false };
}

/** What is handed in. The runtime reads the CLI's output only where the CLI ran and all of its output is there. */
function outcomeOf(
  { fault, exitCode, isTimeout }: Ended,
  unfitness: Unfitness | undefined,
  { cli }: Command,
): Omit<RunOutcome, "durationMs"> {
  return {
    fault: unfitness?.isFull ? `could not be run: ${unfitness.reason}` : fault,
    isTimeout,
    exitCode,
    cli: unfitness ? undefined : cli,
  };
}

/** Hands in the result. `isFault`: the task failed, and this machine may be the reason. */
async function handIn(
  client: RuntimeClient,
  work: Work,
  folder: TaskFolder,
  outcome: RunOutcome,
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
  const facts = {
    task: work.task.id,
    reason,
    ...(kind !== null && { kind }),
    duration_ms: outcome.durationMs,
    handedIn,
  };
  if (!answer.ok) log.warn({ ...facts, error: answer.error }, `the result was not taken: ${answer.status}`);
  else if (reason) log.warn(facts, "completed with an error");
  else log.info(facts, "completed");
  return { isFault: decided ? decided.error_message !== null && OWN_KINDS.has(kind) : reason !== undefined };
}

/** The kinds of failures that may be this machine's own fault; null is a failure without a kind. */
const OWN_KINDS = new Set<string | null>([null, "crashed", "parse_error"]);
