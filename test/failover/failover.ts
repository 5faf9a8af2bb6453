/**
 * `npm run failover -- --promotions 10 --seed 1`: two instances over a primary and its standby, with clients and workers. Again and again
 * the primary is lost and the standby promoted. At the end, what everybody was answered is compared with the database. Exits with 1 when a
 * promise was broken. Commits wait for the standby, so that nothing may be lost; with `--asynchronous` they do not, and each loss follows a
 * time in which the standby got nothing. With `--patroni`, Patroni promotes (patroni-pair.ts).
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import {
  BY_HAND,
  callerOf,
  cancelOne,
  createOne,
  emptyJournal,
  handOut,
  requeueSome,
  Worker,
} from "../chaos/callers.ts";
import { findViolations } from "../chaos/check.ts";
import { OWN } from "../chaos/own-workers.ts";
import { seeded } from "../chaos/random.ts";
import { settle } from "../chaos/settle.ts";
import buildPrograms from "../support/compiled-programs.ts";
import { startReplicatedPair } from "../support/replicated-pair.ts";
import { launch } from "../support/spawn-service.ts";
import { forgive, markOf } from "./lost-by-standby.ts";
import { startPatroniPair } from "./patroni-pair.ts";

const WORKERS = 4;
const CLIENTS = 3;
const WORK_BETWEEN_MS = 3_000;
/** How long the standby gets nothing before an asynchronous loss. */
const HELD_MS = 500;
/** After a promotion, each instance must create a task again within this time. */
const WHOLE_WITHIN_MS = 5_000;

const { values } = parseArgs({
  options: {
    promotions: { type: "string", default: "10" },
    seed: { type: "string" },
    asynchronous: { type: "boolean", default: false },
    patroni: { type: "boolean", default: false },
    within: { type: "string", default: String(WHOLE_WITHIN_MS / 1_000) },
  },
});
const promotions = Number(values.promotions);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const wholeWithinMs = Number(values.within) * 1_000;
if (
  !Number.isInteger(promotions) ||
  promotions < 1 ||
  !Number.isInteger(seed) ||
  !(wholeWithinMs > 0) ||
  (values.patroni && values.asynchronous)
) {
  process.stderr.write(
    "Usage: npm run failover -- --promotions <how many> --seed <whole number> [--asynchronous|--patroni] [--within <seconds>]\n",
  );
  process.exit(2);
}
const synchronous = !values.asynchronous;
process.stdout.write(
  `${promotions} promotion(s), ${synchronous ? "synchronous" : "asynchronous"}${values.patroni ? " by Patroni" : ""}, seed ${seed}\n`,
);

const dataDir = await mkdtemp(join(tmpdir(), "bloom-failover-"));
await chmod(dataDir, 0o755);
const pair = values.patroni ? await startPatroniPair(dataDir) : await startReplicatedPair(dataDir, { synchronous });
await buildPrograms();
const env = {
  DATABASE_URL: pair.url(),
  DATA_DIR: join(dataDir, "service"),
  MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
  RATE_LIMIT_PER_MINUTE: "0",
  WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
  SWEEP_INTERVAL_MS: "500",
};
const instances = [launch(env), launch(env)];
const urls = await Promise.all(instances.map(async ({ listening }) => `http://127.0.0.1:${await listening}`));

const random = seeded(seed);
const journal = emptyJournal();
const call = callerOf(urls, seeded(seed + 1), journal);
const workers = Array.from(
  { length: WORKERS },
  (_, n) => new Worker(`worker-${n}`, 1 + (n % 3), call, seeded(seed + 10 + n), journal, [BY_HAND, OWN]),
);
await Promise.all(workers.map((worker) => worker.register()));
let isWorking = true;
async function every(ms: number, pass: () => Promise<unknown>): Promise<void> {
  while (isWorking) {
    await pass();
    await delay(ms);
  }
}
const work = [
  ...Array.from({ length: CLIENTS }, (_, n) => {
    const ofClient = seeded(seed + 100 + n);
    return every(100, () => createOne(call, ofClient, journal));
  }),
  every(50, () => handOut(call, workers, random, false)),
  every(1_000, () => requeueSome(call, random)),
  every(1_000, () => cancelOne(call, random, journal)),
  ...workers.map((worker) => every(100, () => worker.claim(false))),
];

const violations: string[] = [];
let forgotten = 0;
for (let n = 1; n <= promotions; n++) {
  await delay(WORK_BETWEEN_MS);
  await pair.caughtUp();
  const mark = markOf(journal);
  if (!synchronous) {
    await pair.holdReplication(true);
    await delay(HELD_MS);
  }
  await pair.stopPrimary();
  // The service meets a time without any server that takes changes.
  await delay(random.between(0, 2_000));
  await pair.promote();
  const promotedAt = performance.now();
  const wholeAfter = await Promise.all(
    urls.map(async (url) => {
      await createOne(callerOf([url], random, journal), random, journal);
      return Math.round(performance.now() - promotedAt);
    }),
  );
  for (const ms of wholeAfter)
    if (ms > wholeWithinMs) violations.push(`promotion ${n}: an instance was whole only after ${ms} ms`);
  if (!synchronous) forgotten += await forgive(journal, mark, pair.query);
  await pair.makeStandby(synchronous);
  process.stdout.write(`  promotion ${n}: the instances were whole after ${wholeAfter.join(" and ")} ms\n`);
}
isWorking = false;
await Promise.all(work);

// Times are bigint, which pg would give as text.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const client = new pg.Client({ connectionString: pair.primaryUrl() });
await client.connect();
await settle(client, { call, workers, random });
violations.push(...(await findViolations(client, journal, workers)));
await client.end();
for (const [n, instance] of instances.entries()) {
  instance.kill("SIGTERM");
  const code = await instance.exited;
  if (code !== 0) violations.push(`instance ${n + 1} ended with ${code}`);
}
await pair.close();
await rm(dataDir, { recursive: true, force: true });

const { calls, unanswered, created, completed, cancelled } = journal;
const totals = {
  calls,
  unanswered,
  created: created.length,
  completed: completed.length,
  cancelled: cancelled.size,
  "acknowledged and forgotten": forgotten,
};
for (const [name, times] of Object.entries(totals)) process.stdout.write(`  ${name.padEnd(34)}${times}\n`);
process.stdout.write(`Violations: ${violations.length}\n`);
for (const violation of violations.slice(0, 50)) process.stdout.write(`  ${violation}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;
