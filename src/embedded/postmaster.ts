/** Runs PostgreSQL's main process, the postmaster, as a child process that ends with the service. */
import type { ChildProcess } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { Installation } from "./prepare-installation.ts";
import { spawnAs } from "./run-program.ts";
import { openLog, readLog } from "./server-log.ts";

/**
 * Runs its arguments as a child and exits with the child's code. Its stdin is a pipe that only the service holds open: when that ends,
 * however the service died, the child gets SIGINT. A shell gives its background jobs /dev/null as stdin, hence number 3. SIGCONT wakes a child that
 * somebody has stopped, and on Linux its own children too: a server that was stopped kept the service from ending for 30 s, and outlived it.
 */
const SUPERVISOR = `
trap '' HUP INT TERM
exec 3<&0
"$@" 3<&- </dev/null &
child=$!
{ read -r _ <&3; kill -INT "$child"; kill -CONT "$child" $(cat "/proc/$child/task/$child/children" 2>/dev/null); } &
watcher=$!
wait "$child"
code=$?
kill -KILL "$watcher" 2>/dev/null
exit "$code"
`;

export interface Postmaster {
  readonly port: number;
  isRunning(): boolean;
  /** What the postmaster wrote to its log. */
  output(): string;
  /** Its exit code; 0 is a shutdown that was asked for. */
  exitCode(): number | undefined;
  /**
   * Asks for a clean shutdown that does not wait for clients, and waits for it, at most `withinMs`. Resolves to whether it has ended, the
   * supervisor included. Asking again only waits on.
   */
  stop(withinMs: number): Promise<boolean>;
}

/** Starts a postmaster that will listen on 127.0.0.1 at `port`. Throws what the log file throws; all else ends up in `output()`. */
export function launchPostmaster(installation: Installation, port: number): Postmaster {
  const { cluster, postgres, runAs } = installation;
  // No socket file: its path may have 107 bytes, and a data folder may lie deeper.
  const options = ["-D", cluster, "-p", String(port), "--listen_addresses=127.0.0.1", "--unix_socket_directories="];
  const { file, start } = openLog(installation);
  const command = ["/bin/sh", "-c", SUPERVISOR, "sh", postgres, ...options];
  let child: ChildProcess;
  try {
    child = spawnAs(runAs, command, ["pipe", file, file]);
  } finally {
    closeSync(file);
  }
  let exitCode: number | undefined;
  let fault = "";
  const ended = new Promise<void>((resolve) => {
    const end = (code: number) => {
      exitCode = code;
      resolve();
    };
    child.once("exit", (code) => end(code ?? 1));
    child.once("error", (error) => {
      fault = messageOf(error);
      end(1);
    });
  });
  // The pipe breaks when the supervisor ends first; `ended` tells that.
  child.stdin?.on("error", () => {});
  return {
    port,
    isRunning: () => exitCode === undefined,
    output: () => fault || readLog(installation, start),
    exitCode: () => exitCode,
    stop: async (withinMs) => {
      child.stdin?.end();
      if (exitCode === undefined) wakeGroup(child.pid);
      await Promise.race([ended, delay(withinMs, undefined, { ref: false })]);
      return exitCode !== undefined;
    },
  };
}

/** Sends SIGCONT to the supervisor, its watcher and the postmaster: a supervisor that somebody has stopped would not pass the end on. */
function wakeGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGCONT");
  } catch {
    // The process has just ended.
  }
}
