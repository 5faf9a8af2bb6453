/** Where the files of an embedded PostgreSQL are, and how its programs are run. */
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { StartError } from "../errors.ts";
import { removeLeftovers } from "./atomic-folder.ts";
import { copyBinaries, packageVersion, prepareBinaries } from "./binaries.ts";
import type { RunAs } from "./run-program.ts";
import { findWay, userFor } from "./unprivileged-user.ts";

export interface Installation {
  /** The absolute path without symlinks, so that the folder has the same name for every process. */
  dataDir: string;
  /** The database files. */
  cluster: string;
  logFile: string;
  initdb: string;
  postgres: string;
  /** PostgreSQL's major version, e.g. "18". */
  major: string;
  runAs: RunAs;
}

/**
 * Makes `dataDir`, removes what an interrupted start has left there, and finds or copies (60 MB) the programs of PostgreSQL; the cluster itself may
 * still be missing. Throws a StartError when no user may run it there, and the file system's errors.
 */
export async function prepareInstallation(packageDirectory: string, wantedDataDir: string): Promise<Installation> {
  await mkdir(wantedDataDir, { recursive: true });
  const dataDir = await realpath(wantedDataDir);
  await removeLeftovers(dataDir);
  const cluster = join(dataDir, "postgres");
  const [user, version] = await Promise.all([userFor(cluster), packageVersion(packageDirectory)]);
  const find = async (native: string) => {
    const postgres = join(native, "bin", "postgres");
    const runAs = await findWay(user, dataDir, [postgres, "--version"]);
    return runAs && { postgres, initdb: join(native, "bin", "initdb"), runAs };
  };
  // The user may be unable to reach the package, although it reaches the data.
  const canCopy = () => findWay(user, dataDir, ["test", "-d", "."]);
  const programs =
    (await find(await prepareBinaries(packageDirectory, dataDir))) ??
    ((await canCopy()) && (await find(await copyBinaries(packageDirectory, dataDir))));
  if (!programs) {
    throw new StartError(
      `PostgreSQL refuses to run as root, and user ${user?.uid} cannot run it on ${dataDir}. Set DATA_DIR to a folder below a folder that every user may enter, such as /var/lib, or set DATABASE_URL, or start as an ordinary user.`,
    );
  }
  const major = version.split(".", 1)[0] ?? version;
  return { dataDir, cluster, logFile: join(dataDir, "postgres.log"), major, ...programs };
}
