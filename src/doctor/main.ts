/**
 * `npm run doctor` says line by line what is right, what is wrong and how to mend it, whether the service runs or not. It changes nothing but that
 * it makes a bucket that is missing. Its exit code is 1 where something is wrong.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { pino } from "pino";
import { endWhenNobodyReads } from "../closed-output.ts";
import { type Config, loadConfig } from "../config.ts";
import { type Db, openDatabase } from "../db/client.ts";
import { joinServer, type Server } from "../db/given-or-embedded-server.ts";
import { loadEnvFile } from "../env-file.ts";
import { messageOf, StartError } from "../errors.ts";
import * as database from "./database.ts";
import { type Finding, lineOf, note, ok, wrong } from "./finding.ts";
import * as fleet from "./fleet.ts";
import * as machine from "./machine.ts";
import * as neighbours from "./neighbours.ts";

/** What a check logs is said by its finding. */
const log: Logger = pino({ level: "silent" });
let isSomethingWrong = false;
let notes = 0;

function say(...findings: Finding[]): void {
  for (const finding of findings) {
    isSomethingWrong ||= finding.level === "wrong";
    if (finding.level === "note") notes++;
    process.stdout.write(lineOf(finding));
  }
}

/** Says what `check` finds. A check that fails is itself something wrong, and the next ones are still made. */
async function run(what: string, check: () => Promise<Finding | Finding[]> | Finding | Finding[]): Promise<Finding[]> {
  const findings = await Promise.resolve()
    .then(check)
    .then((found) => (Array.isArray(found) ? found : [found]))
    .catch((error) => [wrong(`${what} could not be checked: ${messageOf(error)}`, "Mend that, and run this again.")]);
  say(...findings);
  return findings;
}

async function main(): Promise<void> {
  await run("Node", () => machine.checkNode());
  await run("The limit of open files", () => machine.checkOpenFiles());
  const env = { ...process.env };
  const config = readConfig(env);
  if (!config) return;
  await run("The key", () => machine.checkKey(config));
  await run("The disk", () => machine.checkDisk(config));
  await run("The service", () => (config.port === 0 ? [] : neighbours.checkService(config)));
  await run("The bucket", () => neighbours.checkBucket(config));
  const server = await findServer(config);
  if (!server) return;
  try {
    const { db, close } = openDatabase({ url: server.url, poolMax: 1 }, log);
    await checkDatabase(db, config, env.MEMBRIDGE_SERVER_URL !== undefined).finally(close);
  } finally {
    await server.stop();
  }
}

function readConfig(env: Record<string, string | undefined>): Config | undefined {
  try {
    say(...loadEnvFile(env).map((misspelt) => note(misspelt)));
    const config = loadConfig(env);
    say(ok("The settings can be used"));
    return config;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    say(wrong(error.message, "docs/operations.md has all settings."));
    return undefined;
  }
}

async function findServer({ databaseUrl, dataDir }: Config): Promise<Server | undefined> {
  if (databaseUrl === undefined && !existsSync(join(dataDir, "postgres"))) {
    say(
      note(
        `There is no embedded database in ${dataDir} yet.`,
        "The first start makes it. For another one, set DATABASE_URL.",
      ),
    );
    return undefined;
  }
  try {
    return await joinServer(databaseUrl, dataDir, log);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    say(wrong(error.message, "Without its database the service does not start."));
    return undefined;
  }
}

async function checkDatabase(db: Db, config: Config, isMembridgeWanted: boolean): Promise<void> {
  const isGood = (findings: Finding[]) => findings.every(({ level }) => level !== "wrong");
  if (!isGood(await run("The database", () => database.checkWritable(db)))) return;
  await run("The database's connections", () => database.checkConnections(db, config));
  await run("The clock", () => database.checkClock(db));
  if (!isGood(await run("The tables", () => database.checkMigrations(db)))) return;
  await run("The settings key", () => database.reportSettingsKey(db, config, log));
  await run("Membridge", () => neighbours.checkMembridge(db, config, isMembridgeWanted, log));
  await run("What is kept", () => database.checkRetention(db, config.keptDays));
  await run("The webhooks", () => database.checkWebhooks(db));
  await run("The queue", () => database.checkQueue(db, config.sweepIntervalMs));
  await run("The workers", () => fleet.checkWorkers(db));
  await run("The labels", () => fleet.checkLabels(db));
  await run("The tasks that wait", () => fleet.checkUntakeable(db));
}

function lastLine(): string {
  if (isSomethingWrong) return "Something is wrong.";
  if (notes === 0) return "Nothing is wrong.";
  return `Nothing is wrong; ${notes} ${notes === 1 ? "note" : "notes"} above.`;
}

const exitCode = () => (isSomethingWrong ? 1 : 0);
endWhenNobodyReads(exitCode);
main()
  .catch((error: unknown) => say(wrong(`The doctor itself failed: ${messageOf(error)}`, "Report this.")))
  .finally(() => {
    process.stdout.write(`\n${lastLine()}\n`);
    process.exitCode = exitCode();
  });
