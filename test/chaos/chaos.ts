/**
 * `npm run chaos -- --minutes 10 --seed 1`: two instances on one PostgreSQL, clients and workers, and faults all the time. At the end,
 * what everybody was answered is compared with the database. Exits with 1 when a promise was broken.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { pino } from "pino";
import { startEmbedded } from "../../src/embedded/start.ts";
import buildPrograms from "../support/compiled-programs.ts";
import { Agent, dispatchOne } from "./agents.ts";
import { createBackendCount } from "./backend-count.ts";
import {
  callerOf,
  cancelOne,
  createOne,
  createSome,
  emptyJournal,
  handOut,
  replayOne,
  requeueSome,
  Worker,
} from "./callers.ts";
import { findViolations } from "./check.ts";
import { findViolationsOfOwn } from "./check-own-workers.ts";
import { prepareDatabaseFaults } from "./database-faults.ts";
import { faultsOn, rage } from "./faults.ts";
import { startInstance } from "./instances.ts";
import { findMissedEvents, Listener, newestEntry, Receiver } from "./listeners.ts";
import { OldTasks } from "./old-tasks.ts";
import { OwnWorker } from "./own-workers.ts";
import { seeded } from "./random.ts";
import { settle } from "./settle.ts";

const WORKERS = 5;
const CLIENTS = 3;
/** What an agent has not completed by then, it never will. */
const AGENTS_WITHIN_MS = 5_000;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, seed: { type: "string" } } });
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(minutes > 0) || !Number.isInteger(seed)) {
  process.stderr.write("Usage: npm run chaos -- --minutes <how long> --seed <whole number>\n");
  process.exit(2);
}
const say = (sentence: string) => process.stdout.write(`${sentence}\n`);
say(`Chaos for ${minutes} minute(s), seed ${seed}`);

const dataDir = await mkdtemp(join(tmpdir(), "bloom-chaos-"));
const postgresDir = join(dataDir, "postgres-data");
const postgres = await startEmbedded({ dataDir: postgresDir, log: pino({ level: "silent" }) });
await buildPrograms();
const instances = [
  await startInstance("one", postgres.url, dataDir),
  await startInstance("two", postgres.url, dataDir),
];
const database = await prepareDatabaseFaults(postgres.url, postgresDir);

const oldTasks = new OldTasks(postgres.url, dataDir);

const random = seeded(seed);
const journal = emptyJournal();
const urls = instances.map(({ url }) => url);
const call = callerOf(urls, seeded(seed + 1), journal);
const workers = Array.from(
  { length: WORKERS },
  (_, n) => new Worker(`worker-${n}`, 1 + (n % 3), call, seeded(seed + 10 + n), journal),
);
const agents = instances.map(({ name, url }) => new Agent(`agent-${name}`, url, call));
const ownWorkers = instances.flatMap(({ name, url }) => [
  new OwnWorker(`node-${name}`, "npm run worker", url, dataDir),
  new OwnWorker(`shell-${name}`, "worker.sh", url, dataDir),
]);
let raging = true;

async function every(ms: number, pass: () => Promise<unknown>): Promise<void> {
  while (raging) {
    await pass();
    await delay(ms);
  }
}

// Times are bigint, which pg would give as text.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const before = new pg.Client({ connectionString: postgres.url });
await before.connect();
const listeners = instances.map(({ name, url }) => new Listener(name, url));
const receiver = new Receiver(seeded(seed + 200));
await Promise.all([...listeners.map((listener) => listener.start()), receiver.start(call)]);
const firstEntry = await newestEntry(before);
await before.end();

await Promise.all([...workers.map((worker) => worker.register()), ...agents.map((agent) => agent.start())]);
for (const worker of ownWorkers) worker.start();
const endsAt = performance.now() + minutes * 60_000;
const backends = createBackendCount(postgres.url);
const work = [
  every(1_000, backends.count),
  ...Array.from({ length: CLIENTS }, (_, n) => {
    const ofClient = seeded(seed + 100 + n);
    return every(150, () => createOne(call, ofClient, journal));
  }),
  every(50, () => handOut(call, workers, random, false)),
  every(2_000, () => requeueSome(call, random)),
  every(3_000, () => createSome(call, random, journal)),
  every(3_000, () => replayOne(call, random, journal)),
  every(1_500, () => cancelOne(call, random, journal)),
  every(3_000, () => oldTasks.make()),
  every(300, () => dispatchOne(call, random, journal)),
  ...workers.map((worker) => every(200, () => worker.claim(false))),
  every(20_000, () => Promise.all(workers.map((worker) => worker.register()))),
];
const targets = { instances, workers, agents, ownWorkers, database, journal };
const injected = await rage(faultsOn(targets, minutes * 60_000), random, () => performance.now() > endsAt);
raging = false;
await Promise.all(work);
say("No more faults. What is queued and leased is done now.");
// What they leave behind this time has the whole of what follows to end by itself.
await Promise.all(ownWorkers.map((worker) => worker.kill(0)));

const client = new pg.Client({ connectionString: postgres.url });
await client.connect();
// A dispatched task whose agent's completion was lost waits for its lease, which is longer than this run has patience for.
const agentsLeases = "update leases set expires_at = 0 where status = 'active' and worker_id like 'agent-%'";
await settle(client, { call, workers, random }, async (passedMs) => {
  if (passedMs > AGENTS_WITHIN_MS) await client.query(agentsLeases);
});

say("All tasks have ended. What was not yet told is told now, and all of it is compared with the database.");
await Promise.all(agents.map((agent) => agent.stop()));
const wrongOfOwn = await Promise.all(ownWorkers.map((worker) => worker.finish()));

const violations = [
  ...(await oldTasks.findViolations(client, instances)),
  ...(await findMissedEvents(client, { listeners, receiver }, firstEntry)),
  ...backends.violations(),
  ...wrongOfOwn.flat(),
  ...(await findViolationsOfOwn(client, ownWorkers)),
  ...(await findViolations(client, journal, [...workers, ...agents, ...ownWorkers])),
];
const { rows } = await client.query(
  `select (select count(*) from llm_tasks) as tasks, (select count(*) from leases) as leases,
     (select count(*) from leases where status = 'expired') as expired, (select count(*) from llm_results where accepted) as accepted,
     (select count(*) from llm_results where not accepted) as late,
     (select count(*) from llm_tasks where status = 'completed' and worker_id like 'agent-%') as "completed by agents",
     (select count(*) from llm_tasks where status = 'completed' and worker_id like any('{node-%,shell-%}')) as "completed by own workers",
     (select count(*) from audit_logs where action = 'task_released') as released`,
);
await client.end();
for (const instance of instances) violations.push(...(await instance.stop()));
await postgres.stop();
await rm(dataDir, { recursive: true, force: true });

const { calls, unanswered, created, completed, cancelled, dispatched, refused } = journal;
const acknowledged = { created: created.length, completed: completed.length, cancelled: cancelled.size };
const totals = {
  ...rows[0],
  "most backends": backends.most(),
  calls,
  unanswered,
  ...acknowledged,
  dispatched,
  refused,
  "events told": listeners.map((listener) => listener.count()).join(" and "),
  "messages taken": receiver.count(),
  "old tasks": oldTasks.count(),
};
say("\nFaults injected");
for (const [name, times] of [...injected].sort()) say(`  ${name.padEnd(34)}${times}`);
say("What happened");
for (const [name, times] of Object.entries(totals)) say(`  ${name.padEnd(34)}${times}`);
say(`Violations: ${violations.length}`);
for (const violation of violations.slice(0, 50)) say(`  ${violation}`);
process.exitCode = violations.length === 0 ? 0 : 1;
