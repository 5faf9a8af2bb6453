/** The database files: made once, whole or not at all, with the password inside, so that the two cannot disagree. */
import { randomBytes } from "node:crypto";
import { chmod, chown, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { StartError } from "../errors.ts";
import { makeWhole } from "./atomic-folder.ts";
import type { Installation } from "./prepare-installation.ts";
import { run } from "./run-program.ts";
import { appendLog, startFailure } from "./server-log.ts";

/** A group may read and enter; PostgreSQL allows no more. */
const OPEN_TO_OTHERS = 0o027;
const PASSWORD_FILE = "bloom-password";
/** Written to postgresql.conf, where the operator may change them. */
const SETTINGS = {
  /** Enough for the largest pool (DB_POOL_MAX), the connections beside it, and psql. */
  max_connections: 520,
  /** Our queries are short; compiling them takes longer than running them. */
  jit: "off",
  /** Docker gives /dev/shm 64 MB, and systemd empties it when the user logs out. */
  dynamic_shared_memory_type: "mmap",
  /** Statements hold prompts and keys; the log does not need them. */
  log_min_error_statement: "panic",
  log_checkpoints: "off",
  /** By default the log of changes grows to 1 GB, beside data of some MB. */
  max_wal_size: "128MB",
  min_wal_size: "32MB",
};

/**
 * Makes the cluster if there is none, and returns its superuser's password.
 * Throws a StartError when this PostgreSQL or this user must not touch the cluster, and when initdb fails.
 */
export async function ensureCluster(installation: Installation, log: Logger): Promise<string> {
  const { cluster, major, runAs } = installation;
  const files = await readdir(cluster).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "EACCES") throw wrongOwner(cluster);
    throw error;
  });
  if (files.length === 0) await createCluster(installation);

  const { uid, mode } = await stat(cluster);
  const user = runAs.user;
  if (user === undefined && uid !== process.getuid?.()) throw wrongOwner(cluster);
  const version = await readIfThere(join(cluster, "PG_VERSION"));
  if (version.trim() !== major) throw wrongVersion(cluster, version.trim(), major);
  // Root has copied or restored the files, and can change their owner too: PostgreSQL refuses the files of another user.
  if (user && uid !== user.uid) {
    const own = ["chown", "-R", "-h", `${user.uid}:${user.gid}`, cluster];
    const { ok, output } = await run({ user: undefined, wrapper: [] }, own);
    if (!ok) throw startFailure(installation, `its files cannot be given to user ${user.uid}: ${output.trim()}`);
  }
  // Kubernetes opens a volume to its fsGroup at each mount, and PostgreSQL refuses to start on files that others may change.
  if ((mode & OPEN_TO_OTHERS) !== 0) {
    await chmod(cluster, 0o700);
    log.warn({ folder: cluster }, "the database files were open to other users; the folder's mode is 700 now");
  }
  const password = await readPassword(cluster);
  if (password) return password;
  throw new StartError(
    `The password of the database in ${cluster} is missing: the file ${PASSWORD_FILE}. Put it back, or set DATA_DIR to another folder.`,
  );
}

/** The superuser's password of a cluster that was made whole; "" when there is none. */
export function readPassword(cluster: string): Promise<string> {
  return readIfThere(join(cluster, PASSWORD_FILE));
}

async function readIfThere(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
}

async function createCluster(installation: Installation): Promise<void> {
  const { user } = installation.runAs;
  await makeWhole(installation.cluster, async (temporary) => {
    const made = join(temporary, "cluster");
    const password = join(temporary, PASSWORD_FILE);
    await writeFile(password, randomBytes(24).toString("hex"), { mode: 0o600, flush: true });
    if (user) for (const path of [temporary, password]) await chown(path, user.uid, user.gid);
    const superuser = ["--username=postgres", `--pwfile=${password}`, "--auth=scram-sha-256"];
    const locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const { ok, output } = await run(installation.runAs, [
      installation.initdb,
      "-D",
      made,
      ...superuser,
      ...locale,
      ...settings,
    ]);
    if (!ok) {
      appendLog(installation, output);
      throw startFailure(installation, output);
    }
    // initdb wants an empty folder, so the password gets in only now.
    await rename(password, join(made, PASSWORD_FILE));
    return made;
  });
}

function wrongOwner(cluster: string): StartError {
  return new StartError(
    `The database in ${cluster} belongs to another user, as when the service was first started as root. Start it as that user, or set DATA_DIR to another folder.`,
  );
}

function wrongVersion(cluster: string, version: string, major: string): StartError {
  const found = version ? `was made by PostgreSQL ${version}, and this is ${major}` : "is not a PostgreSQL database";
  return new StartError(`The folder ${cluster} ${found}. It is as it was; set DATA_DIR to another folder.`);
}
