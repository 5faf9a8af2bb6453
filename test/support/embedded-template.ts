/** A data folder of the embedded PostgreSQL that was used before, to copy: that takes a tenth of the CPU of an initdb. */
import { execFileSync } from "node:child_process";
import { access, chmod, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { startEmbedded } from "../../src/embedded/start.ts";
import { TEMPLATE } from "./run-folder.ts";

/** Makes `folder`, which must be there and empty, a used data folder. */
export async function useFolder(folder: string): Promise<void> {
  const template = join(tmpdir(), TEMPLATE);
  const isThere = await access(template).then(
    () => true,
    () => false,
  );
  if (!isThere) await makeTemplate(template);
  execFileSync("cp", ["-a", `${template}/.`, folder]);
}

/** Whole or not at all. Of two test files that make it at the same moment, one is too late. */
async function makeTemplate(template: string): Promise<void> {
  const dataDir = await mkdtemp(`${template}-`);
  await chmod(dataDir, 0o755);
  await (await startEmbedded({ dataDir, log: pino({ level: "silent" }) })).stop();
  await rename(dataDir, template).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    await rm(dataDir, { recursive: true });
  });
}
