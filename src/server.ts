/** The process: environment in, exit code out. `npm start` runs this file. */
import { type Config, loadConfig, SECRETS } from "./config.ts";
import { loadEnvFile } from "./env-file.ts";
import { StartError, stackOf } from "./errors.ts";
import { createLog } from "./log.ts";
import { startService } from "./service.ts";
import { onEndAsked } from "./signals.ts";

async function main(): Promise<void> {
  loadEnvFile(process.env);
  const config = loadConfig(process.env);
  // Neither the programs that are started nor a report of a crash need them.
  for (const name of SECRETS) delete process.env[name];
  const log = createLog(config.logLevel);
  const starting = startService(config, log);

  const stop = async (signal: NodeJS.Signals) => {
    log.info({ signal }, "stopping");
    const service = await starting;
    await service.stop();
    log.info("stopped");
    log.flush(() => process.exit(0));
  };
  // Asked again, the operator does not want to wait: the database is safe, requests in flight are not.
  onEndAsked(
    (signal) => void stop(signal).catch(crash),
    () => log.flush(() => process.exit(1)),
  );

  const { port } = await starting;
  log.info(
    { port, database: config.databaseUrl ? "DATABASE_URL" : "embedded" },
    `BLOOM Runtime listens on ${whereIn(config, port)}; ${whoMayCall(config)}`,
  );
  if (config.apiKey === undefined) log.warn("RUNTIME_API_KEY is not set: whoever reaches this port may do everything");
}

function whereIn({ bindAddress }: Config, port: number): string {
  if (bindAddress === undefined) return `http://localhost:${port}, on every address of this machine`;
  return `http://${bindAddress.includes(":") ? `[${bindAddress}]` : bindAddress}:${port}, on this address only`;
}

function whoMayCall({ apiKey, allowOpen }: Config): string {
  if (apiKey !== undefined) return "callers need RUNTIME_API_KEY or a named key";
  return allowOpen
    ? "ALLOW_OPEN says that something in front lets only the right callers through"
    : "nobody needs a key";
}

function crash(error: unknown): void {
  // A StartError is a sentence for the operator; anything else is a fault of ours, and its stack helps.
  process.stderr.write(`${error instanceof StartError ? error.message : stackOf(error)}\n`);
  process.exit(1);
}

// Node would print all that the error carries: of a failed query, its parameters.
process.on("uncaughtException", crash);
main().catch(crash);
