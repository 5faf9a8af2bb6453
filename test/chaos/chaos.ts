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
import { startEmbedded } from "../../src/db/embedded/embedded.ts";
import { readPidFile } from "../../src/db/embedded/pidfile.ts";
import buildPrograms from "../support/programs.ts";
import { Agent, dispatchOne } from "./agents.ts";
import { findViolations } from "./check.ts";
import { callerOf, cancelOne, createOne, emptyJournal, handOut, requeueSome, Worker } from "./fleet.ts";
import { type Instance, SKEWS_MS, startInstance } from "./instances.ts";
import { type Random, seeded } from "./random.ts";

const WORKERS = 5;
const CLIENTS = 3;
/** How long the rest of the work may take when no more faults come. */
const SETTLE_WITHIN_MS = 120_000;
/** What an agent has not completed by then, it never will. */
const AGENTS_WITHIN_MS = 5_000;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, seed: { type: "string" } } });
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(minutes > 0) || !Number.isInteger(seed)) {
  process.stderr.write("Usage: npm run chaos -- --minutes <how long> --seed <whole number>\n");
  process.exit(2);
}
process.stdout.write(`Chaos for ${minutes} minute(s), seed ${seed}\n`);

const dataDir = await mkdtemp(join(tmpdir(), "bloom-chaos-"));
const postgres = await startEmbedded({ dataDir: join(dataDir, "postgres-data"), log: pino({ level: "silent" }) });
await buildPrograms();
const instances = [
  await startInstance("one", postgres.url, dataDir),
  await startInstance("two", postgres.url, dataDir),
];

const random = seeded(seed);
const journal = emptyJournal();
const call = callerOf(
  instances.map(({ url }) => url),
  seeded(seed + 1),
  journal,
);
const workers = Array.from(
  { length: WORKERS },
  (_, n) => new Worker(`worker-${n}`, 1 + (n % 3), call, seeded(seed + 10 + n), journal),
);
const agents = instances.map(({ name, url }) => new Agent(`agent-${name}`, url, call));
const injected = new Map<string, number>();
let raging = true;

/** The faults, and how often each is drawn. Those that last are over when the promise resolves. */
const FAULTS: Record<string, [weight: number, inject: (random: Random) => Promise<void>]> = {
  "instance killed (-9)": [3, (dice) => dice.pick(instances).restart("SIGKILL", dice.pick(SKEWS_MS))],
  "instance deployed (TERM)": [2, (dice) => dice.pick(instances).restart("SIGTERM", dice.pick(SKEWS_MS))],
  "PostgreSQL shut down at once": [2, () => shutDownPostgres()],
  "connections cut": [4, async (dice) => dice.pick(instances).proxy.cut()],
  "connections slow": [3, (dice) => during(dice.pick(instances), dice.between(500, 2_000), "slow")],
  "connections frozen": [3, (dice) => during(dice.pick(instances), dice.between(500, 3_000), "frozen")],
  "worker crashed": [4, (dice) => dice.pick(workers).crash()],
  "agent killed": [3, (dice) => dice.pick(agents).kill(dice.between(500, 2_000))],
  "agent slow": [2, (dice) => dice.pick(agents).slow(dice.between(1_000, 3_000))],
  "agent without its CLI": [2, (dice) => dice.pick(agents).loseCli(dice.between(500, 2_000))],
  "worker frozen past its lease": [4, async (dice) => dice.pick(workers).freeze(dice.between(2_500, 5_000))],
};

async function during({ proxy }: Instance, ms: number, how: "slow" | "frozen"): Promise<void> {
  if (how === "slow") proxy.delay(100);
  else proxy.freeze();
  await delay(ms);
  proxy.delay(0);
  proxy.thaw();
}

async function shutDownPostgres(): Promise<void> {
  const pid = readPidFile(join(dataDir, "postgres-data", "postgres"))?.pid;
  if (pid !== undefined && !Number.isNaN(pid)) process.kill(pid, "SIGQUIT");
}

async function rage(): Promise<void> {
  const drawn = Object.entries(FAULTS).flatMap(([name, [weight]]) => Array<string>(weight).fill(name));
  while (raging) {
    const name = random.pick(drawn);
    injected.set(name, (injected.get(name) ?? 0) + 1);
    await FAULTS[name]?.[1](random);
    await delay(random.between(200, 1_200));
  }
}

async function every(ms: number, pass: () => Promise<unknown>): Promise<void> {
  while (raging) {
    await pass();
    await delay(ms);
  }
}

await Promise.all([...workers.map((worker) => worker.register()), ...agents.map((agent) => agent.start())]);
const endsAt = performance.now() + minutes * 60_000;
const work = [
  ...Array.from({ length: CLIENTS }, (_, n) => every(150, () => createOne(call, seeded(seed + 100 + n), journal))),
  every(50, () => handOut(call, workers, random, false)),
  every(2_000, () => requeueSome(call, random)),
  every(1_500, () => cancelOne(call, random, journal)),
  every(300, () => dispatchOne(call, random, journal)),
  ...workers.map((worker) => every(200, () => worker.claim(false))),
  every(20_000, () => Promise.all(workers.map((worker) => worker.register()))),
];
const raged = rage();
while (performance.now() < endsAt) await delay(100);
raging = false;
await raged;
await Promise.all(work);

// The rest is done without faults: every task comes to its end.
const giveUpAt = performance.now() + SETTLE_WITHIN_MS;
// Times are bigint, which pg would give as text.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const client = new pg.Client({ connectionString: postgres.url });
await client.connect();
const open = async () =>
  (await client.query("select from llm_tasks where status in ('queued', 'leased', 'running', 'failed')")).rowCount ?? 0;
await Promise.all(workers.map((worker) => worker.crash()));
// A dispatched task whose agent's completion was lost waits for its lease, which is longer than this run has patience for.
const agentsLeases = "update leases set expires_at = 0 where status = 'active' and worker_id like 'agent-%'";
while ((await open()) > 0 && performance.now() < giveUpAt) {
  await requeueSome(call, random);
  await handOut(call, workers, random, true);
  await Promise.all(workers.map((worker) => worker.claim(true)));
  if (performance.now() > giveUpAt - SETTLE_WITHIN_MS + AGENTS_WITHIN_MS) await client.query(agentsLeases);
  await delay(50);
}
await Promise.all(workers.map((worker) => worker.finish()));

await Promise.all(agents.map((agent) => agent.stop()));

const violations = await findViolations(client, journal, [...workers, ...agents]);
const { rows } = await client.query(
  `select (select count(*) from llm_tasks) as tasks, (select count(*) from leases) as leases,
     (select count(*) from leases where status = 'expired') as expired, (select count(*) from llm_results where accepted) as accepted,
     (select count(*) from llm_results where not accepted) as late,
     (select count(*) from llm_tasks where status = 'completed' and worker_id like 'agent-%') as "completed by agents",
     (select count(*) from audit_logs where action = 'task_released') as released`,
);
await client.end();
for (const instance of instances) {
  const code = await instance.stop();
  if (code !== 0) violations.push(`instance ${instance.name} ended with ${code} at its stop`);
  const faults = instance.output().match(/^\s+at .*|unhandled.*|uncaught.*/gim) ?? [];
  if (faults.length > 0) violations.push(`instance ${instance.name} wrote a stack trace: ${faults[0]}`);
}
await postgres.stop();
await rm(dataDir, { recursive: true, force: true });

const table = Object.fromEntries([...injected].sort().map(([name, times]) => [name, { times }]));
const { calls, unanswered, created, completed, cancelled, dispatched, refused } = journal;
const acknowledged = { created: created.length, completed: completed.length, cancelled: cancelled.size };
const totals = { ...rows[0], calls, unanswered, ...acknowledged, dispatched, refused };
process.stdout.write(`\nFaults injected\n`);
for (const [name, { times }] of Object.entries(table)) process.stdout.write(`  ${name.padEnd(32)}${times}\n`);
process.stdout.write(`What happened\n`);
for (const [name, times] of Object.entries(totals)) process.stdout.write(`  ${name.padEnd(32)}${times}\n`);
process.stdout.write(`Violations: ${violations.length}\n`);
for (const violation of violations.slice(0, 50)) process.stdout.write(`  ${violation}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;
