/** The process, which `npm start` runs: it reads the environment, starts the service, and stops it on a signal. */
import type { Logger } from "pino";
import { hostInUrl } from "./callable-addresses.ts";
import { type Config, loadConfig } from "./config.ts";
import { loadEnvFile } from "./env-file.ts";
import { lastWords, StartError } from "./errors.ts";
import { createLog } from "./log.ts";
import { onEndAsked } from "./process-signals.ts";
import { type GivenSettings, SERVING } from "./processes/messages.ts";
import { SECRETS, SETTINGS } from "./setting-schema.ts";

async function main(): Promise<void> {
  if (process.argv[2] === SERVING) {
    const { runAsChild } = await import("./processes/run-as-child.ts");
    const { startService } = await import("./service.ts");
    runAsChild(startService);
    return;
  }
  const misspelt = loadEnvFile(process.env);
  const config = configFrom(process.env, misspelt);
  const settings = givenSettings(process.env);
  // Programs that the service starts, and reports of a crash, must not get the secrets.
  for (const name of SECRETS) delete process.env[name];
  const log = createLog(config.logLevel);
  for (const sentence of misspelt) log.warn(sentence);
  let service: { port: number; stop(): Promise<void> } | undefined;

  const stop = async (signal: NodeJS.Signals) => {
    log.info({ signal }, "stopping");
    // A start just ends, in the middle of whatever it does: it may have minutes left, nothing was promised to anybody yet, the database rolls a
    // migration back, and the embedded server ends by itself.
    await service?.stop();
    log.info("stopped");
    log.flush(() => process.exit(0));
  };
  // An operator who asks a second time does not want to wait. The database stays safe; requests in flight are lost.
  onEndAsked(
    (signal) => void stop(signal).catch(crash),
    () => log.flush(() => process.exit(1)),
  );

  service = await start(config, settings, log);
  const { port } = service;
  const { processes } = config;
  log.info(
    { port, database: config.databaseUrl ? "DATABASE_URL" : "embedded", ...(processes > 1 && { processes }) },
    `BLOOM Runtime listens on ${whereIn(config, port)}; ${whoMayCall(config)}${processes > 1 ? `; ${processes} processes serve` : ""}`,
  );
  if (config.apiKey === undefined)
    log.warn("RUNTIME_API_KEY is not set: everybody who reaches this port may do everything");
}

/** A setting that is missing may be there under a misspelt name, so a refused start says that too. */
function configFrom(env: NodeJS.ProcessEnv, misspelt: string[]): Config {
  try {
    return loadConfig(env);
  } catch (error) {
    if (error instanceof StartError) throw new StartError([error.message, ...misspelt].join("\n"), { cause: error });
    throw error;
  }
}

/** Starts the service in this process, or in several. What a process does not need is not loaded: the first of several has 75 MB instead of 103. */
async function start(config: Config, settings: GivenSettings, log: Logger) {
  if (config.processes === 1) {
    const { startService } = await import("./service.ts");
    return startService(config, log);
  }
  const { startProcesses } = await import("./processes/start-processes.ts");
  return startProcesses(config, settings, log);
}

const givenSettings = (env: NodeJS.ProcessEnv): GivenSettings =>
  Object.fromEntries(SETTINGS.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));

function whereIn({ bindAddress }: Config, port: number): string {
  if (bindAddress === undefined) return `http://localhost:${port}, on every address of this machine`;
  return `http://${hostInUrl(bindAddress)}:${port}, on this address only`;
}

function whoMayCall({ apiKey, allowOpen }: Config): string {
  if (apiKey !== undefined) return "callers need RUNTIME_API_KEY or a named key";
  return allowOpen
    ? "ALLOW_OPEN says that something in front lets only the right callers through"
    : "nobody needs a key";
}

function crash(error: unknown): void {
  process.stderr.write(`${lastWords(error)}\n`);
  process.exit(1);
}

// Node itself would print all properties of the error, and with a failed query also its parameters.
process.on("uncaughtException", crash);
main().catch(crash);
