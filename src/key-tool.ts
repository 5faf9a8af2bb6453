/** `npm run key` creates, lists and revokes named keys, in the database at DATABASE_URL or in the embedded one, whether the service runs or not. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { endWhenNobodyReads } from "./closed-output.ts";
import { type Config, loadConfig } from "./config.ts";
import { KEY_NAME, KEY_NAME_RULE } from "./contract/key-records.ts";
import { type Db, openDatabase } from "./db/client.ts";
import { joinServer, migrateServer } from "./db/given-or-embedded-server.ts";
import { ROLES } from "./db/roles.ts";
import { nameServers } from "./db/server-addresses.ts";
import { loadEnvFile } from "./env-file.ts";
import { lastWords, Refusal, StartError } from "./errors.ts";
import { isoTime } from "./format-iso-time.ts";
import { createLog } from "./log.ts";
import { createKey, listKeys, revokeKey } from "./saved-config/named-keys.ts";

const USAGE = `npm run key -- create --name <name> --role <${ROLES.join(" | ")}>
npm run key -- list
npm run key -- revoke --name <name> [--older]`;

const OPEN =
  "RUNTIME_API_KEY is not set here. A service without it is open and asks for no key, so these keys count only where it is set.\n";

async function main(args: string[]): Promise<void> {
  const { run, needsDatabase } = readCommand(args);
  loadEnvFile(process.env);
  const config = loadConfig({ ...process.env, LOG_LEVEL: "warn", ALLOW_OPEN: "true" });
  const log = createLog(config.logLevel);
  if (needsDatabase) requireDatabase(config);
  process.stderr.write(`The keys of ${databaseIn(config)}:\n`);
  const server = await joinServer(config.databaseUrl, config.dataDir, log);
  try {
    await migrateServer(server, log);
    const { db, close } = openDatabase({ url: server.url, poolMax: 1 }, log);
    await run(db).finally(close);
    if (config.apiKey === undefined) process.stderr.write(OPEN);
  } finally {
    await server.stop();
  }
}

/** The name of the database, without its password. It is written to standard error, since a script reads the key from standard output. */
function databaseIn({ databaseUrl, dataDir }: Config): string {
  if (databaseUrl === undefined) return `the embedded database in ${dataDir}`;
  const { hosts, database } = nameServers(databaseUrl);
  return `the database ${database} at ${hosts} (DATABASE_URL)`;
}

/** StartError: the embedded database is not there. Going on would make an empty one, while the keys that the caller means are in another folder. */
function requireDatabase({ databaseUrl, dataDir }: Config): void {
  if (databaseUrl !== undefined || existsSync(join(dataDir, "postgres"))) return;
  throw new StartError(
    `There is no database in ${dataDir} yet, so there are no keys. Run this in the folder in which the service runs, or with the DATA_DIR or DATABASE_URL that the service has.`,
  );
}

interface Command {
  run(db: Db): Promise<void>;
  /** The command is about keys that were made before. */
  needsDatabase: boolean;
}

function readCommand(args: string[]): Command {
  const { verb, name, role, older = false } = parse(args);
  if (verb === "list") return { run: printKeys, needsDatabase: true };
  if (verb !== "create" && verb !== "revoke") throw new StartError(USAGE);
  if (name === undefined || !KEY_NAME.test(name)) throw new StartError(`--name ${KEY_NAME_RULE}.\n${USAGE}`);
  if (verb === "revoke") return { run: (db) => revoke(db, name, older), needsDatabase: true };
  const found = ROLES.find((each) => each === role);
  if (!found) throw new StartError(`--role must be one of ${ROLES.join(", ")}.\n${USAGE}`);
  return { run: async (db) => print(await createKey(db, undefined, name, found)), needsDatabase: false };
}

function parse(args: string[]) {
  try {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { name: { type: "string" }, role: { type: "string" }, older: { type: "boolean" } },
    });
    return { verb: positionals.length === 1 ? positionals[0] : undefined, ...values };
  } catch (error) {
    throw new StartError(USAGE, { cause: error });
  }
}

async function revoke(db: Db, name: string, older: boolean): Promise<void> {
  const count = await revokeKey(db, undefined, name, { older });
  if (older) print(`The older key "${name}" is revoked.`);
  else print(count === 2 ? `Both keys "${name}" are revoked.` : `The key "${name}" is revoked.`);
}

async function printKeys(db: Db): Promise<void> {
  const time = (ms: number | null) => (ms === null ? "never" : isoTime(ms));
  for (const { name, role, created_at, last_used_at, revoked_at } of await listKeys(db)) {
    const end = revoked_at === null ? "" : `, revoked ${time(revoked_at)}`;
    print(`${name}: ${role}, created ${time(created_at)}, last used ${time(last_used_at)}${end}`);
  }
}

const print = (line: string) => void process.stdout.write(`${line}\n`);

endWhenNobodyReads();
main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Refusal ? error.message : lastWords(error)}\n`);
  process.exitCode = 1;
});
