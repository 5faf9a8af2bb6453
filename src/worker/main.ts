/** `npm run worker -- --server http://host:3002 --name rpi --cli claude`: a worker for machines behind NAT. */
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { isHttpUrl } from "../callable-addresses.ts";
import { StartError } from "../errors.ts";
import { createLog } from "../log.ts";
import { onEndAsked } from "../process-signals.ts";
import { openApiKey } from "./api-key.ts";
import { commandFault } from "./can-run-command.ts";
import { CLI_NAMES, type Command, cliCommand } from "./cli-command.ts";
import { createRuntimeClient } from "./runtime-client.ts";
import { work } from "./work-loop.ts";

const USAGE = `Usage: npm run worker -- --server http://host:3002 --cli claude [--cli-args '--permission-mode acceptEdits']
  [--name <name>] [--concurrency 1] [--labels a,b] [--account <name>]
With --exec 'any command' in place of --cli, what the command prints is the result as it is.
The key of the runtime, if it has one, is read from RUNTIME_API_KEY, or from the file that RUNTIME_API_KEY_FILE names: that one is read again
when the runtime refuses the key.`;

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
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const { server = "http://localhost:3002", name = hostname(), concurrency = "1", labels = "", account } = values;
  if (!isHttpUrl(server)) throw new StartError(`--server must be an http:// or https:// address.\n${USAGE}`);
  const command = commandIn(values);
  if (!/^([1-9]|[12]\d|3[0-2])$/.test(concurrency))
    throw new StartError(`--concurrency must be from 1 to 32.\n${USAGE}`);
  const fault = commandFault(command);
  if (fault !== undefined) throw new StartError(fault);
  return {
    server,
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

function commandIn({ exec, cli, "cli-args": args }: { exec?: string; cli?: string; "cli-args"?: string }): Command {
  if (!exec === !cli)
    throw new StartError(`Either --cli or --exec must say what does the work, and not both.\n${USAGE}`);
  if (args !== undefined && !cli) throw new StartError(`--cli-args are for --cli.\n${USAGE}`);
  const graceMs = Number(process.env.BLOOM_CLI_GRACE_SECONDS || GRACE_SECONDS) * 1_000;
  if (!(graceMs >= 0)) throw new StartError("BLOOM_CLI_GRACE_SECONDS must be a number of seconds.");
  if (exec) return { shell: exec, cli: undefined, graceMs };
  const command = cliCommand(cli ?? "", args ?? "", graceMs);
  if (!command) throw new StartError(`--cli must be one of ${CLI_NAMES.join(", ")}.\n${USAGE}`);
  return command;
}

async function main(): Promise<void> {
  const { server, ...options } = readOptions();
  const log = createLog(process.env.LOG_LEVEL ?? "info");
  const [draining, giveUp] = [new AbortController(), new AbortController()];
  onEndAsked(
    () => {
      log.info("draining: what runs is finished first; a second signal stops it and hands it back");
      draining.abort();
    },
    () => giveUp.abort(),
  );
  const apiKey = await openApiKey(process.env.RUNTIME_API_KEY, process.env.RUNTIME_API_KEY_FILE);
  const client = createRuntimeClient(server, apiKey);
  await work(client, options, log, draining.signal, giveUp.signal);
  process.exit(giveUp.signal.aborted ? 1 : 0);
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
