/** Starting PostgreSQL's programs as the right user. */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { messageOf } from "../errors.ts";

/** A user of the system, by number. */
export interface SystemUser {
  uid: number;
  gid: number;
}

/** How PostgreSQL's programs are run. */
export interface RunAs {
  /** Whom they run as and who owns their files; undefined is the service's own user. */
  user: SystemUser | undefined;
  /** A command that changes to `user` and runs what follows it; empty when the kernel's plain change of user will do. */
  wrapper: readonly string[];
}

/**
 * Starts `command` in a process group of its own, so that the terminal's Ctrl-C does not reach it, in a folder that every user can
 * enter, and without the service's environment, which holds secrets and may hold PG* variables.
 */
export function spawnAs({ user, wrapper }: RunAs, command: readonly string[], stdio: StdioOptions): ChildProcess {
  const [program = "", ...args] = [...wrapper, ...command];
  const { PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LD_LIBRARY_PATH } = process.env;
  return spawn(program, args, {
    stdio,
    detached: true,
    cwd: "/",
    env: { PATH, LC_ALL: "C", TZ: "UTC", ...(LD_LIBRARY_PATH && { LD_LIBRARY_PATH }) },
    // Node wants 32 bits with a sign, and macOS has a nobody of 4294967294.
    ...(user && wrapper.length === 0 && { uid: user.uid | 0, gid: user.gid | 0 }),
  });
}

/** Runs `command` to its end. `ok` is whether it ended with 0, `output` all that it said, or why it could not be run. */
export async function run(runAs: RunAs, command: readonly string[]): Promise<{ ok: boolean; output: string }> {
  try {
    const child = spawnAs(runAs, command, ["ignore", "pipe", "pipe"]);
    const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
    const streams = [child.stdout, child.stderr].map((stream) => (stream ? text(stream) : ""));
    const [code, ...output] = await Promise.all([ended, ...streams]);
    return { ok: code === 0, output: output.join("") };
  } catch (error) {
    return { ok: false, output: messageOf(error) };
  }
}
