/** `npm run worker -- --server http://host:3002 --name rpi --cli claude`: a worker for machines behind NAT. */
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import type { Logger } from "pino";
import { isHttpUrl } from "../callable-addresses.ts";
import { messageOf, StartError } from "../errors.ts";
import { createLog } from "../log.ts";
import { onEndAsked } from "../process-signals.ts";
import { openApiKey } from "./api-key.ts";
import { commandFault } from "./can-run-command.ts";
import { COMMAND_NAMES, type Command, cliShell } from "./cli-command.ts";
import { chooseCommandFolder } from "./command-folder.ts";
import { ownFolderOf } from "./own-folder.ts";
import { takePidFile } from "./pid-file.ts";
import { createRuntimeClient } from "./runtime-client.ts";
import { work } from "./work-loop.ts";

const USAGE = `Usage: npm run worker -- --server http://host:3002 --cli claude [--cli-args '--permission-mode acceptEdits']
  [--name <name>] [--concurrency 1] [--labels a,b] [--account <name>] [--cwd <folder>]
--server is http://localhost:3002 by default, and --name the host's name.
With --exec 'any command' in place of --cli, what the command prints is the result as it is. It runs in the folder of --cwd; without that, where
you call this, or in an empty folder of the worker's own where that is the service's checkout.
The key of the runtime, if it has one, is read from RUNTIME_API_KEY in the environment, not from .env; or from the file that RUNTIME_API_KEY_FILE
names: that one is read again when the runtime refuses the key.`;

function readOptions() {
  const option = { type: "string" } as const;
  const { values } = parseArgs({
    args: withCliArgs(process.argv.slice(2)),
    options: {
      server: option,
      exec: option,
      cli: option,
      "cli-args": option,
      name: option,
      concurrency: option,
      labels: option,
      account: option,
      cwd: option,
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const { server = "http://localhost:3002", name = hostname(), concurrency = "1", labels = "", account } = values;
  if (!isHttpUrl(server)) throw new StartError(`--server must be an http:// or https:// address.\n${USAGE}`);
  const ownFolder = ownFolderOf(name, process.env);
  const unplaced = commandIn(values);
  if (!/^([1-9]|[12]\d|3[0-2])$/.test(concurrency))
    throw new StartError(`--concurrency must be from 1 to 32.\n${USAGE}`);
  const folder = chooseCommandFolder(values.cwd, ownFolder, process.env);
  const command = { ...unplaced, folder: folder.path };
  const fault = commandFault(command);
  if (fault !== undefined) throw new StartError(fault);
  return {
    server,
    ownFolder,
    folder,
    command,
    name,
    concurrency: Number(concurrency),
    labels: labels.split(",").filter(Boolean),
    account,
  };
}

/** The arguments for the CLI begin with a dash, which parseArgs takes as a value only behind an equals sign. */
function withCliArgs(given: string[]): string[] {
  const at = given.indexOf("--cli-args");
  return at < 0 || at + 1 === given.length ? given : given.toSpliced(at, 2, `--cli-args=${given[at + 1]}`);
}

/** How long a CLI may take to end after its result, where BLOOM_CLI_GRACE_SECONDS does not say. */
const GRACE_SECONDS = 30;

function commandIn(values: { exec?: string; cli?: string; "cli-args"?: string }): Omit<Command, "folder"> {
  const { exec, cli, "cli-args": args } = values;
  if (!exec === !cli)
    throw new StartError(`Either --cli or --exec must say what does the work, and not both.\n${USAGE}`);
  if (args !== undefined && !cli) throw new StartError(`--cli-args are for --cli.\n${USAGE}`);
  const graceMs = Number(process.env.BLOOM_CLI_GRACE_SECONDS || GRACE_SECONDS) * 1_000;
  if (!(graceMs >= 0)) throw new StartError("BLOOM_CLI_GRACE_SECONDS must be a number of seconds.");
  if (exec) return { shell: exec, cli: undefined, graceMs };
  const called = cliShell(cli ?? "", args ?? "");
  if (!called) throw new StartError(`--cli must be one of ${COMMAND_NAMES.join(", ")}.\n${USAGE}`);
  return { ...called, graceMs };
}

async function main(): Promise<void> {
  const { server, ownFolder, folder, ...options } = readOptions();
  const log = createLog(process.env.LOG_LEVEL ?? "info");
  const apiKey = await openApiKey(process.env.RUNTIME_API_KEY, process.env.RUNTIME_API_KEY_FILE);
  leavePidFile(ownFolder, options.name, log);
  log.info(`its command runs in ${folder.path}${folder.reason ? `, since ${folder.reason}` : ""}`);
  const [draining, giveUp] = [new AbortController(), new AbortController()];
  onEndAsked(
    () => {
      log.info("draining: what runs is finished first; a second signal stops it and hands it back");
      draining.abort();
    },
    () => giveUp.abort(),
  );
  const client = createRuntimeClient(server, apiKey);
  await work(client, options, log, draining.signal, giveUp.signal);
  process.exit(giveUp.signal.aborted ? 1 : 0);
}

/** The worker runs without its pid file where that cannot be written, as in a home that is for reading only. */
function leavePidFile(ownFolder: string, name: string, log: Logger): void {
  try {
    process.once("exit", takePidFile(ownFolder, name));
  } catch (error) {
    if (error instanceof StartError) throw error;
    log.warn({ reason: messageOf(error) }, "no pid file: a second worker of this name would take over its tasks");
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${sentenceOf(error)}\n`);
  process.exit(1);
});

/** What the operator is told of an error that ends the worker: how it is called, for a wrong option; the stack, for a fault of our own. */
function sentenceOf(error: unknown): unknown {
  if (error instanceof StartError) return error.message;
  if (!(error instanceof TypeError && "code" in error)) return error instanceof Error ? error.stack : error;
  return String(error.code).startsWith("ERR_PARSE_ARGS_") ? `${error.message}\n${USAGE}` : error.message;
}
