/**
 * `npm run bench:waiting`: how soon one of many waiting workers hears of a task that only its kind can take, beside a backlog that nobody can
 * take; how soon health answers meanwhile; and how long a pass of auto-dispatch looks for whom to place. It needs TEST_DATABASE_URL.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { pino } from "pino";
import { openDatabase } from "../../src/db/client.ts";
import { findDispatchable } from "../../src/queue/find-dispatchable.ts";
import buildPrograms from "../support/compiled-programs.ts";
import { withDatabase } from "../support/database-url.ts";
import { launch } from "../support/spawn-service.ts";
import { API_KEY, connect, timingOf } from "./load.ts";
import { peakRssMb } from "./process-usage.ts";

const WAITERS = 2_000;
const KINDS = 500;
const SETS = 50;
const BACKLOG = 100_000;
const WORKERS = 10_000;
const WAKES = 40;
const R = "/api/runtime";

const server = process.env.TEST_DATABASE_URL;
if (!server) {
  process.stderr.write("Set TEST_DATABASE_URL to a PostgreSQL server.\n");
  process.exit(2);
}
const admin = new pg.Client({ connectionString: server });
await admin.connect();
const database = `bloom_waiting_${process.pid}`;
await admin.query(`create database ${database}`);
const url = withDatabase(server, database);
const folder = await mkdtemp(join(tmpdir(), "bloom-bench-"));
await buildPrograms();
const service = launch({
  DATABASE_URL: url,
  DATA_DIR: folder,
  RUNTIME_API_KEY: API_KEY,
  RATE_LIMIT_PER_MINUTE: "0",
  WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
});
const base = `http://127.0.0.1:${await service.listening}`;
const client = new pg.Client({ connectionString: url });
await client.connect();
await client.query(
  `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
     attempts, max_attempts, requires)
   select gen_random_uuid(), 'c' || n % 7, 'agent-' || n % ${KINDS}, 'p', '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'queued', n, n, 0, 3,
     jsonb_build_array('set-' || n % ${SETS}, 'nobody has it') from generate_series(1, ${BACKLOG}) n`,
);
await client.query(
  `insert into workers (id, node_id, url, status, capabilities, registered_at, last_heartbeat)
   select 'w-' || n, 'n', 'http://127.0.0.1:9', 'online',
     jsonb_build_object('claude_cli', true, 'max_concurrency', 32, 'labels', jsonb_build_array('set-' || n % ${SETS})),
     1, floor(extract(epoch from now()) * 1000)::bigint from generate_series(0, ${WORKERS - 1}) n`,
);
await client.query("vacuum (analyze)");
const beforeMb = peakRssMb(service.pid);

const ignored = new Map<string, number[]>();
const heard = new Map<string, number>();
let isOver = false;
let waiting = 0;
const lost: unknown[] = [];
async function wait(n: number): Promise<void> {
  const caller = connect(base, API_KEY, ignored);
  const body = { worker_id: `w-${n}`, wait_seconds: 25, agent_slugs: [`agent-${n % KINDS}`] };
  while (!isOver) {
    waiting += 1;
    const answer = await caller.call("claim", "POST", `${R}/llm-tasks/claim`, body);
    waiting -= 1;
    if (answer) heard.set(JSON.parse(answer).tasks[0].task.id, performance.now());
  }
  await caller.close();
}
const waits: Promise<void>[] = [];
const caller = connect(base, API_KEY, ignored);
// Connections that have not shown a key yet are bounded.
for (let n = 0; n < WAITERS; n++) {
  waits.push(wait(n).catch((error: unknown) => void lost.push(error)));
  if (n % 20 === 19) await delay(50);
}
// Until each of them has claimed once.
await delay(6_000);

const wakes: number[] = [];
const healths: number[] = [];
for (let n = 0; n < WAKES; n++) {
  const kind = (n * 37) % KINDS;
  const task = { context_id: "new", agent_slug: `agent-${kind}`, prompt: "p", requires: [`set-${kind % SETS}`] };
  const { id } = JSON.parse(await caller.call("create", "POST", `${R}/llm-tasks`, task));
  const created = performance.now();
  await caller.call("health", "GET", `${R}/health`);
  healths.push(performance.now() - created);
  while (!heard.has(id) && performance.now() - created < 10_000) await delay(2);
  wakes.push((heard.get(id) ?? Number.POSITIVE_INFINITY) - created);
}

const { db, close } = openDatabase({ url, poolMax: 2 }, pino({ level: "silent" }));
const passes: number[] = [];
for (let n = 0; n < 10; n++) {
  const started = performance.now();
  await findDispatchable(db, 50);
  passes.push(performance.now() - started);
}
await close();
const mb = peakRssMb(service.pid) - beforeMb;
process.stdout.write(
  `${JSON.stringify({ wake: timingOf(wakes), health: timingOf(healths), pass: timingOf(passes), waiting, lost: lost.length, kbPerWaiter: (mb * 1_000) / WAITERS }, null, 2)}\n`,
);
isOver = true;
service.kill("SIGTERM");
await service.exited;
await Promise.all(waits);
await caller.close();
await client.end();
await admin.query(`drop database ${database} with (force)`);
await admin.end();
await rm(folder, { recursive: true, force: true });
