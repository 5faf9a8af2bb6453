/**
 * `npm run drain -- --proxy haproxy --rounds 2`: two instances behind HAProxy, nginx or Caddy as `deploy/` has them, of which one after the
 * other is stopped and started again, while clients create tasks, each with an `Idempotency-Key`, and workers wait for them. Exits with 1 when a
 * call failed. It needs the proxy's program.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { startEmbedded } from "../../src/embedded/start.ts";
import buildPrograms from "../support/compiled-programs.ts";
import { freePort } from "../support/free-port.ts";
import { launch } from "../support/spawn-service.ts";
import { PROXIES, startProgram } from "./proxies.ts";

const CLIENTS = 8;
const WORKERS = 20;
const WAIT_SECONDS = 5;
const DRAIN_SECONDS = 12;
/** Between two stops, and before the first: time for the proxy to see that both instances are there. */
const CALM_MS = 6_000;

const { values } = parseArgs({
  options: { proxy: { type: "string", default: "haproxy" }, rounds: { type: "string", default: "2" } },
});
const name = PROXIES.find((each) => each === values.proxy);
const rounds = Number(values.rounds);
if (!name || !Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write(`Usage: npm run drain -- --proxy ${PROXIES.join("|")} --rounds <how many>\n`);
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), "bloom-drain-"));
const postgres = await startEmbedded({ dataDir: join(folder, "postgres"), log: pino({ level: "silent" }) });
await buildPrograms();
const start = async (port: number) => {
  const service = launch({
    DATABASE_URL: postgres.url,
    DATA_DIR: folder,
    BLOOM_RUNTIME_PORT: String(port),
    DRAIN_SECONDS: String(DRAIN_SECONDS),
    RATE_LIMIT_PER_MINUTE: "0",
    WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
    MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
  });
  await service.listening;
  return service;
};
const ports: [number, number] = [await freePort(), await freePort()];
const instances = [await start(ports[0]), await start(ports[1])];
const proxy = await startProgram(name, ports, folder);

let calls = 0;
let isWorking = true;
const failed: string[] = [];
/** Gives the answer's JSON; undefined where there is none, or the call failed. */
async function call(path: string, body: object, headers: Record<string, string> = {}) {
  calls += 1;
  try {
    const response = await fetch(`${proxy.url}/api/runtime${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok) return text === "" ? undefined : JSON.parse(text);
    failed.push(`POST ${path} was answered ${response.status}: ${text.slice(0, 200)}`);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    failed.push(`POST ${path}: ${cause}`);
  }
  return undefined;
}

async function createTasks(): Promise<void> {
  while (isWorking) {
    const task = { context_id: "drain", agent_slug: "writer", prompt: "Write a haiku about seeds." };
    await call("/llm-tasks", task, { "idempotency-key": randomUUID() });
    await delay(100);
  }
}

async function workOn(worker: string): Promise<void> {
  await call("/workers", { name: worker });
  while (isWorking) {
    const answer = await call("/llm-tasks/claim", { worker_id: worker, wait_seconds: WAIT_SECONDS });
    for (const { task, lease } of answer?.tasks ?? [])
      await call(`/llm-tasks/${task.id}/complete`, {
        status: "success",
        output: "A seed holds its breath.",
        metrics: { duration_ms: 1 },
        lease_id: lease.id,
      });
  }
}

const work = [
  ...Array.from({ length: CLIENTS }, createTasks),
  ...Array.from({ length: WORKERS }, (_, n) => workOn(`worker-${n}`)),
];
for (let round = 0; round < rounds; round++)
  for (const [n, port] of ports.entries()) {
    await delay(CALM_MS);
    const leaving = instances[n];
    leaving?.kill("SIGTERM");
    const code = await leaving?.exited;
    if (code !== 0) failed.push(`an instance ended with ${code}`);
    instances[n] = await start(port);
  }
await delay(CALM_MS);
isWorking = false;
await Promise.all(work);
await proxy.stop();
for (const instance of instances) instance.kill("SIGTERM");
await Promise.all(instances.map(({ exited }) => exited));
await postgres.stop();
await rm(folder, { recursive: true, force: true });

process.stdout.write(
  `Behind ${name}, two instances were stopped and started in turn ${rounds} time(s), under ${CLIENTS} clients that create and ${WORKERS} workers that wait: ${calls} calls, ${failed.length} failed.\n`,
);
for (const failure of failed.slice(0, 20)) process.stdout.write(`  ${failure}\n`);
if (failed.length > 0) process.stderr.write(`What ${name} said:\n${proxy.said()}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
