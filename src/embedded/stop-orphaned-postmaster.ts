/**
 * Makes sure that no postmaster uses the cluster before ours starts. A postmaster without an owner is stopped; with an owner, the start is
 * refused.
 */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { isAlive } from "./look-up-process.ts";
import { type Credentials, connect, ownerOf, pidOfOwner, tryLock } from "./owner-lock.ts";
import {
  disarmPidFile,
  mayBePostmaster,
  type PidFile,
  readPidFile,
  stopPostmaster,
  wakePostmaster,
} from "./pid-file.ts";
import type { Installation } from "./prepare-installation.ts";

const POLL_MS = 20;
/** How long another service may take between the start of its postmaster and its lock, or a postmaster to write its lock file. */
const GRACE_MS = 1_000;
/** How long to wait for a postmaster without an owner that is still recovering, or already shutting down. */
const WAIT_WITHIN_MS = 60_000;

/**
 * Resolves when no postmaster uses the cluster. Throws a StartError when another service owns it, or when a postmaster neither
 * answers nor goes away within a minute, and an AbortError when `signal` is aborted.
 */
export async function stopOrphanedPostmaster(
  installation: Installation,
  credentials: Credentials,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, dataDir } = installation;
  const started = performance.now();
  for (;;) {
    const waitedMs = performance.now() - started;
    const file = readPidFile(cluster);
    if (!file) return;
    const client = await connect(cluster, file.port, credentials).catch(() => undefined);
    if (client) {
      try {
        await removeOrphan(client, file, installation, log);
      } finally {
        await client.end();
      }
    } else if (Number.isNaN(file.pid) ? waitedMs > GRACE_MS : !(await mayBePostmaster(file.pid, cluster))) {
      // PostgreSQL itself finds out that no process has this number.
      if (Number.isNaN(file.pid) || isAlive(file.pid)) disarmPidFile(cluster, file);
      return;
    } else if (waitedMs > WAIT_WITHIN_MS) {
      throw new StartError(
        `PostgreSQL (process ${file.pid}) already runs on ${dataDir} and does not answer. Stop it, or set DATA_DIR to another folder.`,
      );
    } else {
      // A postmaster that was stopped with SIGSTOP before its service was killed would never answer.
      await wakePostmaster(file.pid, cluster);
    }
    await delay(POLL_MS, undefined, { signal });
  }
}

/** The sentence for the second service on a folder. */
export function alreadyRunning(dataDir: string, owner: string): StartError {
  const pid = pidOfOwner(owner);
  const who = pid ? `Another BLOOM Runtime (process ${pid})` : "Another program";
  return new StartError(
    `${who} is already running on ${dataDir}. Stop it, or set DATA_DIR to another folder. For two instances over one database set DATABASE_URL; for more processes of one instance, INSTANCES.`,
  );
}

async function removeOrphan(client: pg.Client, file: PidFile, { cluster, dataDir }: Installation, log: Logger) {
  const giveUpAt = performance.now() + GRACE_MS;
  try {
    while (performance.now() < giveUpAt) {
      const owner = await ownerOf(client);
      if (owner !== undefined) throw alreadyRunning(dataDir, owner);
      await delay(POLL_MS);
    }
    // If two services find a postmaster without an owner, one of them stops it, and the other finds the lock of the first.
    if (!(await tryLock(client))) return;
  } catch (error) {
    if (error instanceof StartError) throw error;
    log.debug({ reason: messageOf(error) }, "the PostgreSQL that was found went away");
    return;
  }
  log.warn({ postgresPid: file.pid }, "stopping a PostgreSQL whose service is gone");
  await stopPostmaster(file.pid, cluster);
}
