/**
 * The service's own PostgreSQL, for when it is given none: one postmaster on 127.0.0.1 that lives and dies with this process.
 *
 *   dataDir/postgres/      the database files, with the password
 *   dataDir/postgres.log   what PostgreSQL says
 *   dataDir/pgsql-*        a copy of its programs, only where node_modules cannot be used as it is
 */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { StartError } from "../errors.ts";
import { platformPackage } from "./binaries.ts";
import { ensureCluster, readPassword } from "./cluster.ts";
import { keepRunning } from "./keep-running.ts";
import { connect, newOwner, ownerOf, urlOf } from "./owner-lock.ts";
import { readPidFile, wakePostmaster } from "./pid-file.ts";
import { prepareInstallation } from "./prepare-installation.ts";
import { startOwnedPostmaster } from "./start-owned-postmaster.ts";

export interface EmbeddedOptions {
  /** Absolute path of the folder for all files; made if it is missing. One service at a time. */
  dataDir: string;
  log: Logger;
  /** Where the npm package with PostgreSQL's programs is; by default, where npm has put the package for this platform. */
  packageDirectory?: string;
}

/** A running PostgreSQL. */
export interface EmbeddedPostgres {
  /** The address of the database `bloom`; it stays the same when PostgreSQL has to be started again. */
  readonly url: string;
  /** Has PostgreSQL go on, where somebody has stopped it with SIGSTOP. */
  wake(): Promise<void>;
  /** Shuts PostgreSQL down, without waiting for its clients. Resolves when it has ended, within 30 s or so; calling it twice is harmless. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL on the files in `dataDir`, and makes them at the first start (about 1 s; later starts take about 0.1 s). If the
 * service dies, PostgreSQL shuts down by itself; if PostgreSQL dies, it is started again.
 * Throws a StartError when it cannot be started here, or when another service already runs on `dataDir`.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, log, packageDirectory = platformPackage() } = options;
  const stopping = new AbortController();
  try {
    const installation = await prepareInstallation(packageDirectory, dataDir);
    const credentials = { password: await ensureCluster(installation, log), owner: newOwner() };
    const claimant = { installation, credentials, log, signal: stopping.signal };
    const started = await startOwnedPostmaster(claimant);
    log.debug({ postgresPid: started.pid, port: started.postmaster.port }, "embedded PostgreSQL is up");
    const ended = keepRunning(claimant, started);
    return {
      url: urlOf(started.postmaster.port, credentials.password, "bloom"),
      wake: async () => {
        const pid = readPidFile(installation.cluster)?.pid;
        if (pid !== undefined) await wakePostmaster(pid, installation.cluster);
      },
      stop: () => {
        stopping.abort();
        return ended;
      },
    };
  } catch (error) {
    throw fileFault(error, dataDir) ?? error;
  }
}

/** The address of the PostgreSQL that a service runs on `dataDir` now; undefined when none does. For tools beside the service. */
export async function findEmbedded(dataDir: string): Promise<string | undefined> {
  const cluster = join(await realpath(dataDir).catch(() => dataDir), "postgres");
  const file = readPidFile(cluster);
  const password = file && (await readPassword(cluster));
  if (!file || !password) return undefined;
  const client = await connect(cluster, file.port, { password, owner: newOwner() }).catch(() => undefined);
  if (!client) return undefined;
  try {
    return (await ownerOf(client)) === undefined ? undefined : urlOf(file.port, password, "bloom");
  } finally {
    await client.end();
  }
}

function fileFault(error: unknown, dataDir: string): StartError | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new StartError(
      `The disk of ${dataDir} is full. Free some space, or set DATA_DIR to a folder on another disk.`,
    );
  }
  if (!["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ELOOP"].includes(String(code)) || !(error instanceof Error))
    return undefined;
  return new StartError(
    `PostgreSQL's files cannot be kept in ${dataDir} (${error.message}). Make it a folder that this user may write to, or set DATA_DIR to another one.`,
    { cause: error },
  );
}
