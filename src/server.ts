/** The process, which `npm start` runs: it reads the environment, starts the service, and stops it on a signal. */
import { hostInUrl } from "./callable-addresses.ts";
import { type Config, loadConfig } from "./config.ts";
import { loadEnvFile } from "./env-file.ts";
import { StartError, stackOf } from "./errors.ts";
import { createLog } from "./log.ts";
import { onEndAsked } from "./process-signals.ts";
import { type Service, startService } from "./service.ts";
import { SECRETS } from "./setting-names.ts";

async function main(): Promise<void> {
  loadEnvFile(process.env);
  const config = loadConfig(process.env);
  // Programs that the service starts, and reports of a crash, must not get the secrets.
  for (const name of SECRETS) delete process.env[name];
  const log = createLog(config.logLevel);
  let service: Service | undefined;

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

  service = await startService(config, log);
  const { port } = service;
  log.info(
    { port, database: config.databaseUrl ? "DATABASE_URL" : "embedded" },
    `BLOOM Runtime listens on ${whereIn(config, port)}; ${whoMayCall(config)}`,
  );
  if (config.apiKey === undefined) log.warn("RUNTIME_API_KEY is not set: whoever reaches this port may do everything");
}

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
  // A StartError is a sentence for the operator. Any other error is a fault of ours, and its stack helps to find it.
  process.stderr.write(`${error instanceof StartError ? error.message : stackOf(error)}\n`);
  process.exit(1);
}

// Node itself would print all properties of the error, and with a failed query also its parameters.
process.on("uncaughtException", crash);
main().catch(crash);
