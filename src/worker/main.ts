/** `npm run worker -- --server http://host:3002 --name rpi --exec 'claude -p'`: a worker for machines behind NAT. */
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { isHttpUrl } from "../addresses.ts";
import { StartError } from "../errors.ts";
import { createLog } from "../log.ts";
import { onEndAsked } from "../signals.ts";
import { openApiKey } from "./api-key.ts";
import { commandFault } from "./command-fault.ts";
import { createRuntimeClient } from "./runtime-client.ts";
import { work } from "./worker.ts";

const USAGE = `Usage: npm run worker -- --server http://host:3002 --exec 'claude -p' [--name <name>] [--concurrency 1] [--labels a,b]
The key of the runtime, if it has one, is read from RUNTIME_API_KEY, or from the file that RUNTIME_API_KEY_FILE names: that one is read again
when the runtime refuses the key.`;

function readOptions() {
  const option = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      server: option,
      exec: option,
      name: option,
      concurrency: option,
      labels: option,
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const { server = "http://localhost:3002", exec, name = hostname(), concurrency = "1", labels = "" } = values;
  if (!isHttpUrl(server)) throw new StartError(`--server must be an http:// or https:// address.\n${USAGE}`);
  if (!exec) throw new StartError(`--exec must say which command does the work.\n${USAGE}`);
  if (!/^([1-9]|[12]\d|3[0-2])$/.test(concurrency))
    throw new StartError(`--concurrency must be from 1 to 32.\n${USAGE}`);
  const fault = commandFault(exec);
  if (fault !== undefined) throw new StartError(fault);
  return { server, command: exec, name, concurrency: Number(concurrency), labels: labels.split(",").filter(Boolean) };
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
  const isUsage = error instanceof StartError || (error instanceof TypeError && "code" in error);
  process.stderr.write(`${error instanceof Error ? (isUsage ? error.message : error.stack) : error}\n`);
  process.exit(1);
});
