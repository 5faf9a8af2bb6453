import { execFileSync } from "node:child_process";
import { chmod, lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { platformPackage } from "../../src/embedded/binaries.ts";
import { StartError } from "../../src/errors.ts";
import { copyPackage, ordinaryUser, query, start, startService, temporaryFolder, unreachable } from "./support.ts";

async function removeLinks(packageDirectory: string): Promise<void> {
  const lib = join(packageDirectory, "native", "lib");
  for (const name of await readdir(lib)) {
    if ((await lstat(join(lib, name))).isSymbolicLink()) await rm(join(lib, name));
  }
}

test("a package without its symlinks and execute bits is repaired where it is", async () => {
  const folder = await temporaryFolder();
  const packageDirectory = await copyPackage(folder);
  await removeLinks(packageDirectory);
  for (const program of ["postgres", "initdb"]) await chmod(join(packageDirectory, "native", "bin", program), 0o644);
  const dataDir = join(folder, ".data");
  const { url } = await start(dataDir, { packageDirectory });
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  expect((await readdir(dataDir)).sort()).toEqual(["postgres", "postgres.log"]);
});

test("a package that cannot be repaired is copied to the data folder", async (context) => {
  context.skip(Boolean(unreachable()), String(unreachable()));
  const folder = await temporaryFolder();
  const packageDirectory = await copyPackage(folder);
  await removeLinks(packageDirectory);
  execFileSync("chmod", ["-R", "a-w,a+rX", packageDirectory]);
  const dataDir = await temporaryFolder(0o777);
  const service = startService(dataDir, { as: ordinaryUser(), packageDirectory });
  const { url } = await service.next();
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  expect((await readdir(dataDir)).sort()).toEqual(["pgsql-18.4.0-beta.17", "postgres", "postgres.log"]);
  await service.stop();
});

test("a platform without PostgreSQL is told to bring its own", () => {
  expect(() => platformPackage("win32", "x64")).toThrow(
    new StartError("No embedded PostgreSQL exists for win32-x64. Set DATABASE_URL to a PostgreSQL 14 to 18 server."),
  );
});
