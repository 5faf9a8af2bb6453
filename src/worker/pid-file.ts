import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StartError } from "../errors.ts";

/**
 * Writes the pid file into the worker's own folder, so that a second worker of the same name on this machine does not take over the first's task.
 * Gives the function that removes the file. The file has the process's number and when that process began, since numbers are used again; one
 * whose process has ended is replaced. `worker.sh` has the same. StartError: such a worker runs. Throws when the file cannot be written.
 */
export function takePidFile(ownFolder: string, name: string): () => void {
  const file = join(ownFolder, "pid");
  const pid = runningIn(file);
  if (pid !== undefined)
    throw new StartError(
      `A worker of the name ${name} runs on this machine already: process ${pid}, by ${file}. Give this one another --name, or end that one first: kill ${pid}`,
    );
  mkdirSync(ownFolder, { recursive: true, mode: 0o700 });
  writeFileSync(file, `${process.pid}\n${beganAt(process.pid)}\n`, { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/** The number of the process that the file names, if that still runs and is another than this one. */
function runningIn(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const [pid, began] = readFileSync(file, "utf8").split("\n");
  const isOther = pid !== undefined && /^\d+$/.test(pid) && Number(pid) !== process.pid;
  return isOther && began && began === beganAt(Number(pid)) ? Number(pid) : undefined;
}

/** When the process began, as this system says it; "" when it has ended. */
function beganAt(pid: number): string {
  if (existsSync("/proc/self/stat")) {
    const stat = readIfThere(`/proc/${pid}/stat`);
    // Behind the program's name, which is in brackets and may have spaces: the state, and as the 20th the time.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? "" : (fields[18] ?? "");
  }
  const script = 'LC_ALL=C TZ=UTC ps -o lstart= -p "$1"';
  const { stdout } = spawnSync("/bin/sh", ["-c", script, "sh", String(pid)], { encoding: "utf8" });
  return (stdout ?? "").trim();
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
