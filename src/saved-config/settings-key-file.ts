import { randomBytes, randomUUID } from "node:crypto";
import { chmod, link, mkdir, open, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { syncFolder } from "../fsync-folder.ts";

/** The fewest characters of a key. A key that was made here has 44; fewer mean that the file was not written whole, or holds no key. */
const SHORTEST = 32;
const OTHERS = 0o077;

/**
 * The secret that settings are sealed with: `settingsKey`, or else the content of `<dataDir>/settings.key`, which is made at the first
 * start (mode 600) and named in the log. Instances on several machines need the same SETTINGS_KEY.
 * StartError: the file cannot be read or made, or has no key.
 */
export async function readOrMakeSettingsKey(
  settingsKey: string | undefined,
  dataDir: string,
  log: Logger,
): Promise<string> {
  if (settingsKey !== undefined) return settingsKey;
  const path = join(dataDir, "settings.key");
  try {
    const secret = (await read(path)) ?? (await make(dataDir, path, log));
    if (secret.length >= SHORTEST) {
      await shutOut(path, log);
      return secret;
    }
  } catch (error) {
    throw new StartError(`The key file ${path} cannot be used: ${messageOf(error)}. Mend that, or set SETTINGS_KEY.`, {
      cause: error,
    });
  }
  throw new StartError(
    `The key file ${path} has no key of at least ${SHORTEST} characters. Put the right one back; without it, remove the file and save the configuration again.`,
  );
}

/** The key in the file; undefined when there is no file yet. */
async function read(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Makes the key. It is written to another file and then linked, so that readers find a whole key, and the first of two instances that make
 * one wins.
 */
async function make(dataDir: string, path: string, log: Logger): Promise<string> {
  await mkdir(dataDir, { recursive: true });
  const draft = `${path}.${randomUUID()}`;
  await writeSafely(draft, `${randomBytes(32).toString("base64")}\n`);
  try {
    await link(draft, path);
    // If the file's name got lost with the power, so would everything that was sealed with the key meanwhile.
    await syncFolder(dataDir);
    log.info({ path }, "made the key that settings are encrypted with; keep it, or set SETTINGS_KEY");
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await unlink(draft);
  }
  return (await read(path)) ?? "";
}

async function writeSafely(path: string, text: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function shutOut(path: string, log: Logger): Promise<void> {
  if (((await stat(path)).mode & OTHERS) === 0) return;
  await chmod(path, 0o600).then(
    () => log.warn({ path }, "others could read the key that settings are encrypted with; its mode is 600 now"),
    (error) => log.warn({ path, reason: messageOf(error) }, "others can read the key that settings are encrypted with"),
  );
}

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : undefined);
