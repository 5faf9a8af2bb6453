import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Longer names of files are not taken by common file systems. */
const LONGEST_NAME = 200;

/**
 * The folder of the worker of this name on this machine: its pid file lies there, and its command runs in `work` there where it has no other
 * folder. An installed worker has its files there too. `BLOOM_WORKER_DIR` names another. `worker.sh` has the same.
 */
export function ownFolderOf(name: string, { BLOOM_WORKER_DIR: set }: NodeJS.ProcessEnv): string {
  return set ? resolve(set) : join(homedir(), ".bloom-worker", encodeURIComponent(name).slice(0, LONGEST_NAME));
}
