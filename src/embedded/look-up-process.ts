/** Processes that others started, by their numbers. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Whether a process has this number now, of whatever user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Sends SIGCONT to the process, and on Linux to its children, in case somebody has stopped them. A process that runs does not notice it. */
export async function wake(pid: number): Promise<void> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  for (const each of [pid, ...children.split(" ").filter(Boolean).map(Number)]) {
    try {
      process.kill(each, "SIGCONT");
    } catch {
      // The process has ended, or is another user's.
    }
  }
}

/** The process that started this one, on Linux; undefined elsewhere, and when there is no such process. */
export async function parentOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1]) || undefined;
}

/** The command line of a process; undefined when there is no such process, or only its zombie, or it is hidden from us. */
export async function commandLine(pid: number): Promise<string | undefined> {
  try {
    if (process.platform === "linux") {
      const args = await readFile(`/proc/${pid}/cmdline`, "utf8");
      return args.replaceAll("\0", " ").trim() || undefined;
    }
    const { stdout } = await execute("ps", ["-ww", "-o", "command=", "-p", String(pid)]);
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}
