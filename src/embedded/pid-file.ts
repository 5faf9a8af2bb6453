/** postmaster.pid: PostgreSQL's own lock file in the cluster. It outlives a kill -9, and then its process number may be anybody's. */
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StartError } from "../errors.ts";
import { commandLine, parentOf, wake } from "./look-up-process.ts";

const POLL_MS = 20;
const STOP_WITHIN_MS = 30_000;
/** No system has process numbers this high. */
const NOBODYS_PID = 2 ** 31 - 1;

export interface PidFile {
  text: string;
  /** NaN while it is being written, or when a crash cut it off. */
  pid: number;
  port: number;
}

/** The lock file of the postmaster that uses `cluster`, or once did. */
export function readPidFile(cluster: string): PidFile | undefined {
  try {
    const text = readFileSync(join(cluster, "postmaster.pid"), "utf8");
    const lines = text.split("\n");
    // A server that is run by hand for repairs (postgres --single) writes its number with a minus.
    const pid = Math.abs(Number.parseInt(lines[0] ?? "", 10)) || Number.NaN;
    return { text, pid, port: Number.parseInt(lines[3] ?? "", 10) };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** False only when it is certain that process `pid` is no postmaster of `cluster`. */
export async function mayBePostmaster(pid: number, cluster: string): Promise<boolean> {
  const command = await commandLine(pid);
  // "postgres: checkpointer" and the like are the children of a postmaster.
  if (command === undefined || !/(^|\/)(postgres|postmaster)( -|$)/.test(command)) return false;
  return !command.includes(" -D ") || `${command} `.includes(` -D ${cluster} `);
}

/**
 * Sends SIGCONT to the postmaster and, on Linux, to its children and to the supervisor that started it with its watcher, in case somebody
 * has stopped them. Does nothing when process `pid` is no postmaster of `cluster`.
 */
export async function wakePostmaster(pid: number, cluster: string): Promise<void> {
  if (!(await mayBePostmaster(pid, cluster))) return;
  const parent = await parentOf(pid);
  // Somebody may have started the postmaster by hand, and then its parent is theirs.
  if (parent !== undefined && isSupervisor((await commandLine(parent)) ?? "", cluster)) await wake(parent);
  await wake(pid);
}

function isSupervisor(command: string, cluster: string): boolean {
  return command.startsWith("/bin/sh -c ") && command.includes(` -D ${cluster} `);
}

/**
 * Takes a process number that is now somebody else's out of the lock file. The rest stays, since PostgreSQL needs it to see whether the
 * postmaster's children are really gone, and then removes the file itself.
 */
export function disarmPidFile(cluster: string, stale: PidFile): void {
  // Read again, and no await before the write: another service may have started a postmaster meanwhile, whose file this must not be.
  if (readPidFile(cluster)?.text !== stale.text) return;
  // The folder belongs to PostgreSQL's user, who must not lead root to another file by a symlink.
  const file = openSync(join(cluster, "postmaster.pid"), constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW);
  try {
    writeSync(file, stale.text.replace(/^.*/, String(NOBODYS_PID)));
  } finally {
    closeSync(file);
  }
}

/**
 * Shuts down the postmaster with SIGINT, which is clean and does not wait for its clients, and wakes it if somebody has stopped it. Throws a
 * StartError if it is still there after 30 s.
 */
export async function stopPostmaster(pid: number, cluster: string): Promise<void> {
  const stuck = (why: string) =>
    new StartError(
      `PostgreSQL (process ${pid}) still runs on ${cluster} and ${why}. Stop it, or set DATA_DIR to another folder.`,
    );
  if (!(await mayBePostmaster(pid, cluster))) throw stuck("is not on this machine");
  try {
    process.kill(pid, "SIGINT");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPERM") throw stuck("belongs to another user");
  }
  await wakePostmaster(pid, cluster);
  const giveUpAt = performance.now() + STOP_WITHIN_MS;
  while (await mayBePostmaster(pid, cluster)) {
    if (performance.now() > giveUpAt) throw stuck(`did not shut down within ${STOP_WITHIN_MS / 1000} s`);
    await delay(POLL_MS);
  }
}
