/**
 * `npm run bench -- --size 1000000 --clients 16`: lifecycles and reads over HTTP, on empty tables and on full ones, beside what the same
 * machine does at most. `--instances` are the processes of the service (INSTANCES). `--json` prints all numbers; `--check` compares the ratios
 * with expected.json, and exits 1 where one is missed.
 */
import { parseArgs } from "node:util";
import buildPrograms from "../support/compiled-programs.ts";
import { settingsFor, startObjectStore } from "../support/object-store.ts";
import { growthOf } from "./bytes-per-lifecycle.ts";
import { fill } from "./fill.ts";
import { API_KEY, connect, load } from "./load.ts";
import { expressFloor, insertFloor, MANY, sqlFloor } from "./machine-limits.ts";
import { openPostgres } from "./postgres.ts";
import { idleShare, peakRssMb } from "./process-usage.ts";
import { timed } from "./processor-time.ts";
import { CROWD, misses, type Report, tableOf } from "./report.ts";
import { startService } from "./service.ts";
import { sweepMany } from "./sweep.ts";
import { claimingMany, claimingOne, creating, lifecycle, reading, register } from "./work.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "100000" },
    clients: { type: "string", default: "16" },
    seconds: { type: "string", default: "8" },
    instances: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
  },
});
const size = Number(values.size);
const clients = Number(values.clients);
const seconds = Number(values.seconds);
const instances = Number(values.instances);
if (![size, clients, instances].every((n) => Number.isInteger(n) && n > 0) || !(seconds > 0)) {
  process.stderr.write(
    "Usage: npm run bench -- --size 100000 --clients 16 --seconds 8 --instances 1 [--json] [--check]\n",
  );
  process.exit(2);
}

const say = (text: string) => process.stderr.write(`${text}\n`);
await using postgres = await openPostgres();
const database = await postgres.makeDatabase("bench");
const { url, client } = database;

const everybody = <Work>(work: Work, times = 1): Work[] => Array.from({ length: clients * times }, () => work);

say("What the machine does at most: bare SQL, bare Express …");
const floor = () => sqlFloor(url, clients, seconds / 2);
const before = await floor();
const living = (base: string, times = 1) => load(base, API_KEY, everybody(lifecycle, times), seconds);
/** Until V8 has compiled a service: a lifecycle took 4.5 ms of its processor time in the first 3 s, 2.1 in the next, and 1.7 after 15 to 20. */
const warmUp = (base: string) => load(base, API_KEY, everybody(lifecycle), seconds * 3);
const express = await expressFloor(async (base) => {
  await warmUp(base);
  return await living(base);
});

say("On empty tables …");
await buildPrograms();
const began = performance.now();
const settings = instances > 1 ? { INSTANCES: values.instances } : {};
const service = await startService(postgres, database, settings);
const { base, pid } = service;
const startMs = performance.now() - began;
const registerAll = async () => {
  const caller = connect(base, API_KEY, new Map());
  await register(caller);
  await caller.close();
};
await registerAll();
const idleCore = await idleShare(pid);
const timedLiving = (times?: number) => timed({ pid, database }, postgres.admin, () => living(base, times));
await warmUp(base);
const empty = await growthOf(client, timedLiving);
const crowd = await timedLiving(CROWD);
const creations = await load(base, API_KEY, everybody(creating(MANY)), seconds / 2);
const inserts = await insertFloor(url, clients, seconds / 2);
await client.query("delete from llm_tasks where status = 'queued'");
await client.query("vacuum analyze llm_tasks");
// Once more, since machines are not as fast at one time as at another.
const sql = (before + (await floor())) / 2;

say(`On ${size} tasks …`);
const ids = await fill(client, size);
await registerAll();
const full = await growthOf(client, () => living(base));
const reads = await load(base, API_KEY, [...everybody(lifecycle).slice(1), reading(ids)], seconds * 2);
const claims = await load(base, API_KEY, everybody(claimingOne), seconds);
const bulk = await load(base, API_KEY, everybody(claimingMany), seconds);
const sweep = await sweepMany(postgres, database, base, Math.min(10_000, size / 20));
const { databaseMb } = (
  await client.query<{ databaseMb: number }>(
    `select pg_database_size(current_database())::float8 / 1e6 as "databaseMb"`,
  )
).rows[0] ?? { databaseMb: Number.NaN };

const report: Omit<Report, "bucket"> = {
  size,
  clients,
  sql,
  express: express.perSecond,
  inserts,
  creations,
  empty,
  crowd,
  full,
  reads,
  claims,
  bulk,
  sweep,
  startMs,
  idleCore,
  rssMb: peakRssMb(pid),
  databaseMb,
};

await service.stop();

say("With a bucket …");
const store = await startObjectStore(false);
postgres.atEnd(store.stop);
const bucketSettings = settingsFor({ ...store.address, bucket: "bloom-bench" });
const withBucket = await startService(postgres, database, { ...settings, ...bucketSettings });
await warmUp(withBucket.base);
const bucket = await living(withBucket.base);

const whole: Report = { ...report, bucket };
process.stdout.write(values.json ? `${JSON.stringify(whole, null, 2)}\n` : tableOf(whole));
if (values.check) {
  const missed = misses(whole);
  for (const miss of missed) say(miss);
  process.exitCode = missed.length > 0 ? 1 : 0;
}
