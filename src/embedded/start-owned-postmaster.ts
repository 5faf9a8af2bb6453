/** Starts a postmaster, and opens the connection whose lock says that this service owns it. */
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { type Credentials, connect, ownerOf, tryLock } from "./owner-lock.ts";
import { readPidFile } from "./pid-file.ts";
import { launchPostmaster, type Postmaster } from "./postmaster.ts";
import type { Installation } from "./prepare-installation.ts";
import { startFailure } from "./server-log.ts";
import { alreadyRunning, stopOrphanedPostmaster } from "./stop-orphaned-postmaster.ts";

const POLL_MS = 10;
/** Recovery after a crash reads at most some GB of log. */
const READY_WITHIN_MS = 300_000;
/** A wrong password stays wrong, unless another server has our port; our postmaster then ends at once. */
const ADMITTED_WITHIN_MS = 2_000;
const RETRY_WITHIN_MS = 60_000;
const RETRY_MS = 50;
export const STOP_WITHIN_MS = 30_000;
/** Another service was first, or the children of a killed postmaster have not ended yet. */
const LOST_RACE = /FATAL: {2}(lock file "postmaster.pid" already exists|pre-existing shared memory block)/;
const PORT_TAKEN = /could not create any TCP\/IP sockets/;
const DATABASE = "bloom";

export interface OwnedPostmaster {
  postmaster: Postmaster;
  /** The process number of the postmaster; our child is only its supervisor. */
  pid: number;
  /** Resolves when the connection that holds the lock has ended, and the postmaster perhaps with it. */
  lost: Promise<void>;
}

/** The service that wants a postmaster of its own, and the signal that ends it. */
export interface Claimant {
  installation: Installation;
  credentials: Credentials;
  log: Logger;
  /** Aborted when the service stops. */
  signal: AbortSignal;
}

/**
 * Starts a postmaster on `port`, or on a free one, and takes the lock; makes the database if it is missing.
 * Throws a StartError when another service has the cluster or PostgreSQL does not come up, and an AbortError when it is told to stop.
 */
export async function startOwnedPostmaster(claimant: Claimant, port?: number): Promise<OwnedPostmaster> {
  const { installation, credentials, log, signal } = claimant;
  const giveUpAt = performance.now() + RETRY_WITHIN_MS;
  for (;;) {
    await stopOrphanedPostmaster(installation, credentials, log, signal);
    const postmaster = launchPostmaster(installation, port ?? (await freePort()));
    try {
      const owned = await waitForLock(claimant, postmaster);
      if (owned) return owned;
    } catch (error) {
      await postmaster.stop(STOP_WITHIN_MS);
      throw error;
    }
    const output = postmaster.output();
    const again =
      postmaster.exitCode() === 0 || LOST_RACE.test(output) || (port === undefined && PORT_TAKEN.test(output));
    if (!again || performance.now() > giveUpAt) throw startFailure(installation, output);
    await delay(RETRY_MS, undefined, { signal });
  }
}

/**
 * Waits until `postmaster` takes connections and takes the lock. Undefined when it has ended before.
 * Throws a StartError when another service has the lock, or after five minutes.
 */
export async function waitForLock(claimant: Claimant, postmaster: Postmaster): Promise<OwnedPostmaster | undefined> {
  const { installation, credentials, signal } = claimant;
  const startedAt = performance.now();
  while (postmaster.isRunning()) {
    let reason = "the lock was not free";
    let patienceMs = READY_WITHIN_MS;
    try {
      const client = await connect(installation.cluster, postmaster.port, credentials);
      if (await tryLock(client)) {
        const lost = new Promise<void>((resolve) => client.once("end", resolve));
        await ensureDatabase(client, installation);
        return { postmaster, pid: readPidFile(installation.cluster)?.pid ?? Number.NaN, lost };
      }
      const owner = await ownerOf(client);
      await client.end();
      // When our last connection was cut off, PostgreSQL shows our own name for another moment.
      if (owner !== undefined && owner !== credentials.owner) throw alreadyRunning(installation.dataDir, owner);
    } catch (error) {
      if (error instanceof StartError) throw error;
      // PostgreSQL is not up yet or is recovering. If it has ended, the loop ends as well.
      reason = messageOf(error);
      if (error instanceof pg.DatabaseError && error.code?.startsWith("28")) patienceMs = ADMITTED_WITHIN_MS;
    }
    if (performance.now() - startedAt > patienceMs)
      throw startFailure(installation, `FATAL: it takes no connections, ${reason}`);
    await delay(POLL_MS, undefined, { signal });
  }
  return undefined;
}

async function ensureDatabase(client: pg.Client, installation: Installation): Promise<void> {
  const { rowCount } = await client.query("select from pg_database where datname = $1", [DATABASE]);
  if (rowCount) return;
  await client.query(`create database ${DATABASE}`).catch((error: Error) => {
    throw startFailure(installation, `FATAL: database ${DATABASE} cannot be made, ${error.message}`);
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}
