/**
 * `npm run bench:waiting`: how soon one of many waiting workers hears of a task that only its kind can take, beside a backlog that nobody can
 * take; how soon health answers meanwhile; and how long a pass of auto-dispatch looks for whom to place. The PostgreSQL is that at
 * TEST_DATABASE_URL, else the embedded one.
 */
import { pino } from "pino";
import { openDatabase } from "../../src/db/client.ts";
import { findDispatchable } from "../../src/queue/find-dispatchable.ts";
import buildPrograms from "../support/compiled-programs.ts";
import { parseMetrics } from "../support/parse-metrics.ts";
import { until } from "../support/until.ts";
import { fillWorkers } from "./fill.ts";
import { API_KEY, connect, timingOf } from "./load.ts";
import { openPostgres } from "./postgres.ts";
import { peakRssMb } from "./process-usage.ts";
import { startService } from "./service.ts";
import { openWaitingWorkers } from "./waiting-clients.ts";

const WAITERS = 2_000;
const KINDS = 500;
const SETS = 50;
const BACKLOG = 100_000;
const WORKERS = 10_000;
const WAKES = 40;
const R = "/api/runtime";

await using postgres = await openPostgres();
await buildPrograms();
const database = await postgres.makeDatabase("waiting");
const { url, client } = database;
const { base, pid } = await startService(postgres, database);
await client.query(
  `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
     attempts, max_attempts, requires)
   select gen_random_uuid(), 'c' || n % 7, 'agent-' || n % ${KINDS}, 'p', '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'queued', n, n, 0, 3,
     jsonb_build_array('set-' || n % ${SETS}, 'nobody has it') from generate_series(1, ${BACKLOG}) n`,
);
await fillWorkers(client, WORKERS, `jsonb_build_array('set-' || n % ${SETS})`);
await client.query("vacuum (analyze)");
const beforeMb = peakRssMb(pid);

const caller = connect(base, API_KEY, new Map());
postgres.atEnd(caller.close);
const workers = openWaitingWorkers(base, API_KEY, WAITERS, KINDS);
postgres.atEnd(workers.close);
await workers.opened;
const waiting = async () =>
  parseMetrics(await caller.call("metrics", "GET", "/metrics")).get(`bloom_waiters{for="claim"}`) ?? 0;
// Some may just be claiming anew.
await until("letting the workers wait", async () => (await waiting()) > WAITERS * 0.98, { everyMs: 200 });

const wakes: number[] = [];
const healths: number[] = [];
for (let n = 0; n < WAKES; n++) {
  const kind = (n * 37) % KINDS;
  const task = { context_id: "new", agent_slug: `agent-${kind}`, prompt: "p", requires: [`set-${kind % SETS}`] };
  const { id } = JSON.parse(await caller.call("create", "POST", `${R}/llm-tasks`, task));
  const created = performance.now();
  await caller.call("health", "GET", `${R}/health`);
  healths.push(performance.now() - created);
  await until("waking a worker", () => workers.handed.has(id), { everyMs: 1 });
  wakes.push((workers.handed.get(id)?.at ?? Number.NaN) - created);
}

const { db, close } = openDatabase({ url, poolMax: 2 }, pino({ level: "silent" }));
postgres.atEnd(close);
const passes: number[] = [];
for (let n = 0; n < 10; n++) {
  const started = performance.now();
  await findDispatchable(db, 50);
  passes.push(performance.now() - started);
}
const mb = peakRssMb(pid) - beforeMb;
const result = {
  wake: timingOf(wakes),
  health: timingOf(healths),
  pass: timingOf(passes),
  waiting: await waiting(),
  lost: workers.lost.length,
  kbPerWaiter: (mb * 1_000) / WAITERS,
};
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
