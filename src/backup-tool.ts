/** `npm run backup -- FILE` and `npm run restore -- FILE`, for the database at DATABASE_URL or the embedded one, whether the service runs or not. */
import { resolve } from "node:path";
import { type Config, loadConfig } from "./config.ts";
import { backUp, type RowCounts } from "./db/backup.ts";
import { openDatabase } from "./db/client.ts";
import { joinServer } from "./db/given-or-embedded-server.ts";
import { restore } from "./db/restore.ts";
import { findSettingsBox } from "./doctor/database.ts";
import { loadEnvFile } from "./env-file.ts";
import { lastWords, StartError } from "./errors.ts";
import { createLog } from "./log.ts";
import { isSettingsKeyRight } from "./saved-config/settings-key-check.ts";

const USAGE = "Name the file: npm run backup -- FILE, or npm run restore -- FILE.";

async function main(verb: string | undefined, path: string | undefined, surplus: string[]): Promise<void> {
  if ((verb !== "backup" && verb !== "restore") || path === undefined || surplus.length > 0)
    throw new StartError(USAGE);
  loadEnvFile(process.env);
  const config = loadConfig({ ...process.env, LOG_LEVEL: "warn", ALLOW_OPEN: "true" });
  const server = await joinServer(config.databaseUrl, config.dataDir, createLog(config.logLevel));
  try {
    const file = resolve(path);
    if (verb === "backup") print(`${sumOf(await backUp(server.url, file))} are in ${file}.`);
    else print(`${sumOf(await restore(server.url, file))} are restored from ${file}.`);
    for (const sentence of await notIncluded(config, verb, server.url)) print(sentence);
  } finally {
    await server.stop();
  }
}

function sumOf(rows: RowCounts): string {
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  const { llm_tasks: tasks = 0, runtime_artifacts: artifacts = 0, audit_logs: entries = 0 } = rows;
  return `${total} rows of ${Object.keys(rows).length} tables (${tasks} tasks, ${artifacts} artifacts, ${entries} audit entries)`;
}

/** What a backup leaves to the operator. */
async function notIncluded(config: Config, verb: "backup" | "restore", url: string): Promise<string[]> {
  const { minio } = config;
  const where = minio && `${minio.endPoint}:${minio.port}`;
  return [
    minio
      ? `The outputs in the bucket ${minio.bucket} at ${where} are not in it: copy or mirror that bucket by itself.`
      : "No bucket is set (MINIO_ENDPOINT); outputs that lie in one are not in it.",
    verb === "backup" ? keepTheKey(config) : await bringTheKey(config, url),
  ];
}

function keepTheKey({ settingsKey, dataDir }: Config): string {
  return settingsKey === undefined
    ? `The key that encrypts the saved admin key is not in it: keep ${keyFileIn(dataDir)} too, in another place than the backup.`
    : "SETTINGS_KEY, which encrypts the saved admin key, is not in it: keep it too, in another place than the backup.";
}

/** The database at `url` is restored, and may need another settings key than is here. */
async function bringTheKey(config: Config, url: string): Promise<string> {
  if (await isKeyHere(config, url).catch(() => false)) return "The settings key here opens what is saved.";
  const bring =
    config.settingsKey === undefined
      ? `put the settings.key of the earlier service at ${keyFileIn(config.dataDir)}`
      : "set the SETTINGS_KEY of the earlier service";
  return `Before the next start, ${bring}: without it, the saved admin key and the secrets of webhooks cannot be read.`;
}

async function isKeyHere(config: Config, url: string): Promise<boolean> {
  const log = createLog("silent");
  const box = await findSettingsBox(config, log);
  if (!box) return false;
  const { db, close } = openDatabase({ url, poolMax: 1 }, log);
  return await isSettingsKeyRight(db, box).finally(close);
}

const keyFileIn = (dataDir: string) => resolve(dataDir, "settings.key");
const print = (line: string) => void process.stdout.write(`${line}\n`);

const [verb, path, ...surplus] = process.argv.slice(2);
main(verb, path, surplus).catch((error: unknown) => {
  process.stderr.write(`${lastWords(error)}\n`);
  process.exitCode = 1;
});
