import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { Work } from "./runtime-client.ts";

/** A command that was asked to end has so long before it is killed. */
const GRACE_MS = 5_000;
const LOOK_EVERY_MS = 100;
/** So long after its end, what it has started may still write to its output. */
const LINGER_MS = 3_000;
const LONGEST_ERROR = 10_000;
/** Linux takes no variable of more than 128 KB: with one, nothing could be started. */
const LARGEST_VARIABLE = 100_000;

export interface Outcome {
  status: "success" | "error";
  output: string | null;
  error_message: string | null;
}

/**
 * Runs `command` by /bin/sh with the prompt on standard input and the task's fields in the environment; what it prints is the output. It
 * ends by itself, at the task's `timeout_sec`, or when `stop` is aborted, whose reason then is the error. Never rejects.
 */
export async function runCommand(command: string, work: Work, stop: AbortSignal): Promise<Outcome> {
  let directory: string | undefined;
  try {
    directory = await mkdtemp(join(tmpdir(), "bloom-task-"));
    const hintsFile = join(directory, "context_hints");
    await writeFile(hintsFile, work.task.context_hints.join("\n"));
    // The key is the worker's: a prompt could have it printed.
    const { RUNTIME_API_KEY: _key, ...own } = process.env;
    const child = spawn("/bin/sh", ["-c", command], {
      // A process group of its own, so that what the command starts ends with it.
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...own, ...variablesOf(work), BLOOM_CONTEXT_HINTS_FILE: hintsFile },
    });
    return await supervise(child, work, stop);
  } catch (error) {
    return { status: "error", output: null, error_message: `The command could not be run: ${messageOf(error)}` };
  } finally {
    if (directory !== undefined) await rm(directory, { recursive: true, force: true }).catch(() => {});
  }
}

function variablesOf({ task, lease }: Work): Record<string, string> {
  const variables = {
    BLOOM_TASK_ID: task.id,
    BLOOM_LEASE_ID: lease.id,
    BLOOM_CONTEXT_ID: task.context_id,
    BLOOM_AGENT_SLUG: task.agent_slug,
    BLOOM_DESIRED_FORMAT: task.desired_format,
    BLOOM_TIMEOUT_SEC: String(task.policy.timeout_sec),
    BLOOM_BUDGET: String(task.policy.budget),
    BLOOM_CONTEXT_HINTS: task.context_hints.join("\n"),
  };
  return Object.fromEntries(
    Object.entries(variables).filter(([, value]) => Buffer.byteLength(value) <= LARGEST_VARIABLE),
  );
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

async function supervise(child: Child, { task }: Work, stop: AbortSignal): Promise<Outcome> {
  const { timeout_sec } = task.policy;
  const timers: NodeJS.Timeout[] = [];
  const after = (ms: number, action: () => void) => void timers.push(setTimeout(action, ms));
  let stopped: string | undefined;
  let killAt = 0;
  let onStop = () => {};
  const [output, complaint] = [collect(child.stdout), collect(child.stderr)];
  const ended = new Promise<void>((resolve, reject) => {
    const letGo = () => {
      child.stdout.destroy();
      child.stderr.destroy();
      resolve();
    };
    const end = (reason: string) => {
      if (stopped !== undefined || hasExited(child)) return;
      stopped = reason;
      killAt = performance.now() + GRACE_MS;
      kill(child, "SIGTERM");
      after(GRACE_MS, () => {
        kill(child, "SIGKILL");
        after(LINGER_MS, letGo);
      });
    };
    onStop = () => end(String(stop.reason));
    child.once("error", reject);
    child.once("close", () => resolve());
    // A descendant in a session of its own may hold the output for ever. One that is being stopped is let go of above.
    child.once("exit", () => stopped ?? after(LINGER_MS, letGo));
    after(timeout_sec * 1_000, () => end(`timed out after ${timeout_sec} s`));
  });
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();

  // A command that does not read its input closes it, which is its right.
  child.stdin.on("error", () => {});
  child.stdin.end(task.prompt);
  try {
    await ended;
    // What it has started has the same time to end.
    while (performance.now() < killAt && groupLives(child)) await delay(LOOK_EVERY_MS);
    if (stopped !== undefined) kill(child, "SIGKILL");
    const error = stopped ?? faultOf(child);
    if (error === undefined) return { status: "success", output: output(), error_message: null };
    const said = complaint().trim().slice(-LONGEST_ERROR);
    return { status: "error", output: output() || null, error_message: `The command ${error}${said && `: ${said}`}` };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    stop.removeEventListener("abort", onStop);
  }
}

function hasExited({ exitCode, signalCode }: Child): boolean {
  return exitCode !== null || signalCode !== null;
}

function faultOf({ exitCode, signalCode }: Child): string | undefined {
  return exitCode === 0 ? undefined : `ended with ${signalCode ?? `code ${exitCode}`}`;
}

function groupLives({ pid }: Child): boolean {
  try {
    return pid !== undefined && process.kill(-pid, 0);
  } catch {
    return false;
  }
}

function kill({ pid }: Child, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // All of it is gone already.
  }
}

/** Gives the text that has come so far. */
function collect(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => void chunks.push(chunk)).on("error", () => {});
  return () => Buffer.concat(chunks).toString();
}
