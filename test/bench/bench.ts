/**
 * `npm run bench -- --size 1000000 --clients 16`: lifecycles and reads over HTTP, on empty tables and on full ones, beside what the same
 * machine does at most. `--json` prints all numbers, `--check` compares the ratios with expected.json and exits 1 where one is missed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import { pino } from "pino";
import { openDatabase } from "../../src/db/client.ts";
import { startEmbedded } from "../../src/db/embedded/embedded.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { withDatabase } from "../support/database-url.ts";
import { launch } from "../support/launch.ts";
import { fill } from "./fill.ts";
import { sqlFloor } from "./floors.ts";
import { connect, type LoadResult, load, timingOf } from "./load.ts";
import { claiming, claimOne, lifecycle, reading, register } from "./work.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "100000" },
    clients: { type: "string", default: "16" },
    seconds: { type: "string", default: "8" },
    json: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
  },
});
const size = Number(values.size);
const clients = Number(values.clients);
const seconds = Number(values.seconds);
if (![size, clients].every((n) => Number.isInteger(n) && n > 0) || !(seconds > 0)) {
  process.stderr.write("Usage: npm run bench -- --size 100000 --clients 16 --seconds 8 [--json] [--check]\n");
  process.exit(2);
}
const say = (text: string) => process.stderr.write(`${text}\n`);
const API_KEY = "bench-key-bench-key";
const OVERDUE = 10_000;

const folder = await mkdtemp(join(tmpdir(), "bloom-bench-"));
const given = process.env.TEST_DATABASE_URL;
const postgres = given
  ? { url: given, stop: async () => {} }
  : await startEmbedded({ dataDir: folder, log: pino({ level: "silent" }) });
const admin = new pg.Client({ connectionString: postgres.url });
await admin.connect();
const name = `bloom_bench_${process.pid}`;
await admin.query(`create database ${name}`);
const url = withDatabase(postgres.url, name);
const client = new pg.Client({ connectionString: url });
await client.connect();

const all = (work: Parameters<typeof load>[2][number]) => Array.from({ length: clients }, () => work);
const one = async <Row extends pg.QueryResultRow>(text: string): Promise<Row> => {
  const [row] = (await client.query<Row>(text)).rows;
  if (!row) throw new Error(`${text} gave no row.`);
  return row;
};

say("The floors: bare SQL, bare Express …");
const sql = await sqlFloor(url, clients, seconds);
const bare = launchBare();
const express = await load(await bare.url, API_KEY, all(lifecycle), seconds / 2);
bare.stop();

say("An empty database …");
const began = performance.now();
const service = launch(
  {
    DATABASE_URL: url,
    LOG_LEVEL: process.env.LOGL ?? "info",
    DATA_DIR: folder,
    DB_POOL_MAX: process.env.POOL ?? "10",
    RUNTIME_API_KEY: API_KEY,
    RATE_LIMIT_PER_MINUTE: "0",
    WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
    TEST_CONNECTION_LIMIT_PER_MINUTE: "0",
    MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
    WORKER_SYNC_INTERVAL_MS: "600000",
  },
  process.env.SEMI
    ? ["--max-semi-space-size=" + process.env.SEMI]
    : process.env.PROF
      ? ["--cpu-prof", "--cpu-prof-dir=/tmp/prof"]
      : [],
);
const base = `http://127.0.0.1:${await service.listening}`;
const startMs = performance.now() - began;
if (process.env.NOTRIG)
  await client.query("alter table llm_tasks disable trigger user; alter table leases disable trigger user");
const setup = connect(base, API_KEY, new Map());
await register(setup);
const idle = await idleShare(service.pid);
const empty = await measured(() => load(base, API_KEY, all(lifecycle), seconds));

say(`${size} tasks …`);
const filling = performance.now();
const ids = await fill(client, size);
say(`  filled in ${Math.round((performance.now() - filling) / 1_000)} s`);
await register(setup);
const full = await measured(() => load(base, API_KEY, all(lifecycle), seconds));
const reads = await load(base, API_KEY, [...all(lifecycle).slice(1), reading(ids.completed, ids.queued)], seconds * 2);
const claims = await load(base, API_KEY, all(claimOne), seconds / 2);
const bulk = await load(base, API_KEY, all(claiming), seconds);

say(`A sweep of ${OVERDUE} …`);
const sweep = await sweeping();
const rssMb = peakRssMb(service.pid);
const databaseMb =
  Number((await one<{ size: string }>("select pg_database_size(current_database()) as size")).size) / 1e6;

await setup.close();
service.kill("SIGTERM");
await service.exited;
await client.end();
await admin.query(`drop database ${name} with (force)`);
await admin.end();
await postgres.stop();
await rm(folder, { recursive: true, force: true });

console.log(
  JSON.stringify(
    {
      sql,
      express: express.perSecond,
      startMs,
      idle,
      empty,
      full,
      reads,
      claims,
      bulk,
      sweep,
      rssMb,
      databaseMb,
      cpus: cpus().length,
    },
    null,
    1,
  ),
);

/** A load, with what it added to the database and to its WAL for each lifecycle. */
async function measured(run: () => Promise<LoadResult>) {
  const state =
    "select pg_database_size(current_database())::float8 as bytes, (pg_current_wal_lsn() - '0/0')::float8 as wal";
  await client.query("checkpoint");
  const before = await one<{ bytes: number; wal: number }>(state);
  const cpu0 = await cpuMs(service.pid),
    pg0 = pgCpu();
  const result = await run();
  console.error(
    "CPU ms per lifecycle: server",
    ((await cpuMs(service.pid)) - cpu0) / (result.iterations * 1.25),
    "pg",
    (pgCpu() - pg0) / (result.iterations * 1.25),
  );
  const after = await one<{ bytes: number; wal: number }>(state);
  const lifecycles = result.iterations * 1.25;
  return {
    ...result,
    bytesEach: Math.round((after.bytes - before.bytes) / lifecycles),
    walBytesEach: Math.round((after.wal - before.wal) / lifecycles),
  };
}

/** Ends that many overdue leases at once, beside a client that works on. */
async function sweeping() {
  const log = pino({ level: "silent" });
  const { db, close } = openDatabase({ url, poolMax: 2 }, log);
  const idleMs: number[] = [];
  for (let n = 0; n < 100; n++) {
    const started = performance.now();
    await sweepOnce(db);
    idleMs.push(performance.now() - started);
  }
  await client.query(
    `with task as (update llm_tasks set status = 'running', lease_id = gen_random_uuid(), worker_id = 'bench-0', attempts = 1
       where id in (select id from llm_tasks where status = 'queued' limit ${OVERDUE}) returning id, lease_id, context_id)
     insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
     select lease_id, id, 'gone', 1, 1, 300, 'active', 1, context_id from task`,
  );
  const times = new Map<string, number[]>();
  const caller = connect(base, API_KEY, times);
  let swept = false;
  const started = performance.now();
  const sweep = sweepOnce(db).finally(() => {
    swept = true;
  });
  for (let n = 0; !swept; n++) await lifecycle(caller, 0, n);
  const { expired } = await sweep;
  const tookMs = performance.now() - started;
  await caller.close();
  await close();
  return { expired, tookMs, longestCallMs: timingOf([...times.values()].flat()).max, idleMs: timingOf(idleMs).p50 };
}

async function cpuMs(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** The share of a core that the service takes while nobody asks it for anything. */
async function idleShare(pid: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const before = await cpuMs(pid);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  return ((await cpuMs(pid)) - before) / 5_000;
}

function peakRssMb(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmHWM:\s+(\d+) kB/)?.[1]) / 1_024;
}

function launchBare() {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", fileURLToPath(new URL("bare-express.ts", import.meta.url))],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const url = once(child.stdout, "data").then(([chunk]) => `http://127.0.0.1:${String(chunk).match(/\d+/)?.[0]}`);
  return { url, stop: () => void child.kill() };
}

function pgCpu() {
  let sum = 0;
  for (const p of readdirSync("/proc"))
    if (/^\d+$/.test(p))
      try {
        const s = readFileSync(`/proc/${p}/stat`, "utf8");
        if (s.includes("(postgres)")) {
          const f = s.split(") ")[1]!.split(" ");
          sum += (Number(f[11]) + Number(f[12])) * 10;
        }
      } catch {}
  return sum;
}
