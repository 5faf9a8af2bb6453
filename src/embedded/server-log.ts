/** PostgreSQL's own log file, and what it says about a start that failed. */
import {
  closeSync,
  constants,
  fchownSync,
  openSync,
  readSync,
  renameSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { StartError } from "../errors.ts";
import type { Installation } from "./prepare-installation.ts";

const LARGEST_BYTES = 10 * 1024 * 1024;
/** PostgreSQL cannot start with less than about one WAL segment free. */
const FULL_BELOW_BYTES = 16 * 1024 * 1024;

/**
 * Opens the log for appending; `start` is where this run's part begins. The last 10 MB and more go to `<log>.1`, whose old contents
 * are dropped. The caller closes `file`.
 */
export function openLog({ logFile, runAs }: Installation): { file: number; start: number } {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LARGEST_BYTES) renameSync(logFile, `${logFile}.1`);
  // Root may work in a folder of somebody else's, who must not lead it to another file by a symlink.
  const file = openSync(
    logFile,
    constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
    0o600,
  );
  // The next start may be by that user, without root.
  if (runAs.user) fchownSync(file, runAs.user.uid, runAs.user.gid);
  return { file, start: size > LARGEST_BYTES ? 0 : size };
}

/** Adds `text` to the log. */
export function appendLog(installation: Installation, text: string): void {
  const { file } = openLog(installation);
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** The part of the log from byte `start` on, at most 64 KB of it. */
export function readLog({ logFile }: Installation, start: number): string {
  const file = openSync(logFile, "r");
  try {
    const buffer = Buffer.alloc(64 * 1024);
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, start));
  } finally {
    closeSync(file);
  }
}

/** The sentence for a start that failed, from what PostgreSQL said. */
export function startFailure({ dataDir, logFile }: Installation, output: string): StartError {
  const { bavail, bsize } = statfsSync(dataDir);
  if (bavail * bsize < FULL_BELOW_BYTES || output.includes("No space left on device")) {
    return new StartError(
      `The disk of ${dataDir} is full. Free some space, or set DATA_DIR to a folder on another disk.`,
    );
  }
  // PostgreSQL says "the database system is …" to our own attempts to connect: such lines are left out.
  const lines = output
    .split("\n")
    .filter((line) => line.trim() !== "" && !/FATAL: {2}the database system is/.test(line));
  const fault = lines.findLast((line) => /FATAL|PANIC|error:/.test(line)) ?? lines.at(-1) ?? "it said nothing";
  const reason = fault.replace(/^.*?(FATAL|PANIC|error): */, "").replace(/[.\s]+$/, "");
  return new StartError(`PostgreSQL did not start: ${reason}. Its log is ${logFile}.`);
}
