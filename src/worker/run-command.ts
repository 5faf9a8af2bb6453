import { type ChildProcess, spawn } from "node:child_process";
import { type FileHandle, open } from "node:fs/promises";
import { constants } from "node:os";
import { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { Command } from "./cli-command.ts";
import type { Work } from "./runtime-client.ts";
import type { TaskFolder } from "./task-folder.ts";
import { variablesOf } from "./task-inputs.ts";
import { watchForHungCli } from "./watch-for-hung-cli.ts";

/** How long a command that was asked to end may take before it is killed. */
const GRACE_MS = 5_000;
const LOOK_EVERY_MS = 100;

/**
 * The shell script that runs the command with a watchdog beside it. The watchdog reads a pipe from the worker. If the pipe ends without a word, the
 * worker is gone, for whatever reason, and the watchdog ends the whole process group of the command, to which it belongs itself.
 */
const GUARDED = `(
  trap '' HUP INT TERM
  read -r word <&3 || { kill -TERM -$$; sleep ${GRACE_MS / 1_000}; kill -KILL -$$; }
) > /dev/null 2>&1 &
exec 3<&-
exec /bin/sh -c "$1"`;

/** How the command ended. */
export interface Ended {
  /** Why the command counts as failed; undefined when it ended well. */
  fault: string | undefined;
  /**
   * The exit code as a shell has it: 128 and the signal's number when a signal ended the command. Null when the worker ended it, or it never ran.
   */
  exitCode: number | null;
  /** The command was ended at its timeout, after its result, or because of `stop`. */
  stopped: boolean;
  isTimeout: boolean;
}

/**
 * Runs `command` with /bin/sh, with the prompt on standard input and the task's fields in the environment. What it prints goes into the files of
 * `folder`. It ends by itself, at the task's `timeout_sec`, when `stop` is aborted, whose reason is then the fault, or when a CLI hangs after its
 * result, which is no fault. Never rejects.
 */
export async function runCommand(command: Command, work: Work, folder: TaskFolder, stop: AbortSignal): Promise<Ended> {
  const files: FileHandle[] = [];
  try {
    for (const file of [folder.outputFile, folder.errorFile]) files.push(await open(file, "a"));
    // The command does not get the worker's key, since a prompt could make it print the key.
    const { RUNTIME_API_KEY: _key, RUNTIME_API_KEY_FILE: _file, ...own } = process.env;
    const child = spawn("/bin/sh", ["-c", GUARDED, "bloom-command", command.shell], {
      // A process group of its own, so that what the command starts ends with it.
      detached: true,
      cwd: command.folder,
      stdio: ["pipe", files[0]?.fd, files[1]?.fd, "pipe"],
      env: { ...own, ...variablesOf(work, folder.inputFiles) },
    });
    return await supervise(child, work, stop, (end) =>
      command.cli
        ? watchForHungCli(folder.outputFile, command.cli, command.graceMs, () => end(AFTER_RESULT))
        : () => {},
    );
  } catch (error) {
    return { fault: `could not be run: ${messageOf(error)}`, exitCode: null, stopped: false, isTimeout: false };
  } finally {
    for (const file of files) await file.close();
  }
}

/** Waits until the command has ended. `watch` gets a function that ends the command, and gives a function that ends the watch. */
async function supervise(
  child: ChildProcess,
  { task }: Work,
  stop: AbortSignal,
  watch: (end: (reason: string) => void) => () => void,
): Promise<Ended> {
  const stopper = createStopper(child);
  const timeout = `timed out after ${task.policy.timeout_sec} s`;
  const timer = setTimeout(() => stopper.end(timeout), task.policy.timeout_sec * 1_000);
  const onStop = () => stopper.end(String(stop.reason));
  let endWatch = () => {};
  const exited = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => resolve());
    endWatch = watch(stopper.end);
  });
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();

  // A command need not read its input, and may close it.
  child.stdin?.on("error", () => {});
  child.stdin?.end(task.prompt);
  const watchdog = child.stdio[3];
  if (watchdog instanceof Writable) watchdog.on("error", () => {});
  try {
    await exited;
    if (watchdog instanceof Writable) watchdog.end("ended\n");
    await stopper.endGroup();
    const reason = stopper.reason();
    return {
      fault: reason === AFTER_RESULT ? undefined : (reason ?? faultOfExit(child)),
      exitCode: reason === undefined ? exitCodeOf(child) : null,
      stopped: reason !== undefined,
      isTimeout: reason === timeout,
    };
  } finally {
    endWatch();
    clearTimeout(timer);
    stopper.forget();
    stop.removeEventListener("abort", onStop);
    child.stdin?.destroy();
  }
}

/** Ends a command before it ends by itself: it is asked to, and killed when it has not ended in time. */
function createStopper(child: ChildProcess) {
  let reason: string | undefined;
  let killAt = 0;
  let timer: NodeJS.Timeout | undefined;
  return {
    /** Why the command was ended; undefined when it ended by itself. */
    reason: () => reason,
    end(why: string): void {
      if (reason !== undefined || hasExited(child)) return;
      reason = why;
      killAt = performance.now() + GRACE_MS;
      kill(child, "SIGTERM");
      timer = setTimeout(() => kill(child, "SIGKILL"), GRACE_MS);
    },
    /** After the command has exited: other processes of its group have until the same moment to end. */
    async endGroup(): Promise<void> {
      while (performance.now() < killAt && groupLives(child)) await delay(LOOK_EVERY_MS);
      if (reason !== undefined) kill(child, "SIGKILL");
    },
    forget: () => clearTimeout(timer),
  };
}

/** Why a CLI was ended that hung after its result. */
const AFTER_RESULT = "was stopped after its result";

function exitCodeOf({ exitCode, signalCode }: ChildProcess): number | null {
  return signalCode === null ? exitCode : 128 + constants.signals[signalCode];
}

function hasExited({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function faultOfExit({ exitCode, signalCode }: ChildProcess): string | undefined {
  return exitCode === 0 ? undefined : `ended with ${signalCode ?? `code ${exitCode}`}`;
}

function groupLives({ pid }: ChildProcess): boolean {
  try {
    return pid !== undefined && process.kill(-pid, 0);
  } catch {
    return false;
  }
}

function kill({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // All processes of the group are gone already.
  }
}
