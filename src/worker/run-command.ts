import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { messageOf } from "../errors.ts";
import type { Work } from "./runtime-client.ts";

/** A command that was asked to end has so long before it is killed. */
const GRACE_MS = 5_000;
const LONGEST_ERROR = 10_000;

export interface Outcome {
  status: "success" | "error";
  output: string | null;
  error_message: string | null;
}

/**
 * Runs `command` by /bin/sh with the prompt on standard input and the task's fields in the environment; what it prints is the output. It
 * ends by itself, at the task's `timeout_sec`, or when `stop` is aborted, whose reason then is the error.
 */
export async function runCommand(command: string, { task, lease }: Work, stop: AbortSignal): Promise<Outcome> {
  const child = spawn("/bin/sh", ["-c", command], {
    // A process group of its own, so that what the command starts ends with it.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      ...process.env,
      BLOOM_TASK_ID: task.id,
      BLOOM_LEASE_ID: lease.id,
      BLOOM_CONTEXT_ID: task.context_id,
      BLOOM_AGENT_SLUG: task.agent_slug,
      BLOOM_DESIRED_FORMAT: task.desired_format,
      BLOOM_TIMEOUT_SEC: String(task.policy.timeout_sec),
      BLOOM_CONTEXT_HINTS: task.context_hints.join("\n"),
    },
  });
  let stopped: string | undefined;
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch (error) {
      // ESRCH: all of it is gone already.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  };
  const end = (reason: string) => {
    stopped ??= reason;
    kill("SIGTERM");
    killer ??= setTimeout(() => kill("SIGKILL"), GRACE_MS);
  };
  let killer: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => end(`timed out after ${task.policy.timeout_sec} s`), task.policy.timeout_sec * 1_000);
  const onStop = () => end(String(stop.reason));
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();

  // A command that does not read its input closes it, which is its right.
  child.stdin.on("error", () => {});
  child.stdin.end(task.prompt);
  try {
    const exit = new Promise<string | undefined>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `code ${code}`}`));
    });
    const [fault, output, complaint] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
    const error = stopped ?? fault;
    if (error === undefined) return { status: "success", output, error_message: null };
    const said = complaint.trim().slice(-LONGEST_ERROR);
    return { status: "error", output: output || null, error_message: `The command ${error}${said && `: ${said}`}` };
  } catch (error) {
    return { status: "error", output: null, error_message: `The command could not be run: ${messageOf(error)}` };
  } finally {
    clearTimeout(timer);
    clearTimeout(killer);
    stop.removeEventListener("abort", onStop);
  }
}
