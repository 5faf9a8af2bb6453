/** Folders that are there whole or not at all, whatever kills the process that makes them. */
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncFolder } from "../fsync-folder.ts";
import { isAlive } from "./look-up-process.ts";

/**
 * Makes the folder `target`: `build` works in a temporary folder beside it and returns the path of the finished one in there, which is
 * then renamed. If another process has made `target` meanwhile, that one stays and ours is dropped.
 */
export async function makeWhole(target: string, build: (temporary: string) => Promise<string>): Promise<void> {
  const temporary = await mkdtemp(`${target}.init-${process.pid}-`);
  try {
    const finished = await build(temporary);
    await syncFolder(finished);
    await rename(finished, target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
    await syncFolder(dirname(target));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Removes what `makeWhole` left in `folder` when it was killed. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const maker = /^(?:postgres|pgsql-.+)\.init-(\d+)-\w{6}$/.exec(name)?.[1];
    if (maker === undefined || isAlive(Number(maker))) continue;
    // The killed service's initdb may still be writing into it; then the next start removes it.
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => {});
  }
}
