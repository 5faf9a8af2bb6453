/** What can be said of this machine, and of the settings. */
import type { Config } from "../config.ts";
import { readDiskSpace } from "../disk-space.ts";
import { openFilesLimit } from "../metrics/process.ts";
import { type Finding, note, ok, wrong } from "./finding.ts";

/** The oldest Node.js, as "engines" in package.json says. */
const OLDEST_NODE = [20, 19] as const;
/** A worker that waits for tasks takes a descriptor, and files and the database take theirs. */
const FEW_OPEN_FILES = 4_096;
const TOO_FEW_OPEN_FILES = 256;
const GB = 1024 ** 3;
const SHORT_KEY = 16;

export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  if (isOld) return wrong(`Node ${version} is too old.`, `Install Node ${OLDEST_NODE.join(".")} or newer.`);
  return ok(`Node ${version}`);
}

export function checkOpenFiles(limit = openFilesLimit()): Finding {
  if (limit === undefined) return note("How many files may be open is not known on this system; `ulimit -n` says it.");
  const raise = "Raise it: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit.";
  if (limit < TOO_FEW_OPEN_FILES) return wrong(`Only ${limit} files may be open (ulimit -n).`, raise);
  if (limit < FEW_OPEN_FILES)
    return note(
      `${limit} files may be open (ulimit -n): enough for some ${Math.floor(limit / 2)} waiting workers.`,
      raise,
    );
  return ok(`${limit} files may be open`);
}

/** Looks at the disk of `DATA_DIR`, or of the folder that it will be made in. */
export async function checkDisk({ dataDir, diskLimits: { warnBelow, refuseBelow } }: Config): Promise<Finding> {
  const { freeBytes, allBytes } = await readDiskSpace(dataDir);
  const space = `${(freeBytes / GB).toFixed(1)} GB of ${(allBytes / GB).toFixed(1)} GB are free for DATA_DIR (${dataDir})`;
  const mend =
    "Free some space, set RETENTION_DAYS so that old tasks are removed, or set DATA_DIR to a folder on another disk.";
  if (freeBytes < refuseBelow) return wrong(`Only ${space}: new work is refused with an embedded database.`, mend);
  return freeBytes < warnBelow ? note(`Only ${space}.`, mend) : ok(space);
}

export function checkKey({ apiKey, production, allowOpen }: Config): Finding {
  if (apiKey === undefined) {
    if (production && allowOpen)
      return note(
        "RUNTIME_API_KEY is not set, and ALLOW_OPEN is: something in front must let only the right callers through.",
      );
    return note(
      "RUNTIME_API_KEY is not set: everybody who reaches the service may do everything.",
      "Set it, unless only you can reach this machine: `openssl rand -hex 32` makes one.",
    );
  }
  if (apiKey.length < SHORT_KEY)
    return wrong(
      "RUNTIME_API_KEY has fewer than 16 characters, and could be guessed.",
      "Set a longer one: `openssl rand -hex 32` makes one.",
    );
  return ok("RUNTIME_API_KEY is set");
}
