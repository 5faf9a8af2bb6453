/**
 * `npm run bench:scale -- --tasks 10000000 --waiting 2000 --listeners 500`: how long what one task goes through takes, and the reads beside it, with
 * that many finished tasks, waiting workers and listeners, beside the same on a small service. `--check` exits with 1 where the median of
 * one is more than twice that of the small service. The PostgreSQL is that at TEST_DATABASE_URL, else the embedded one.
 */
import { parseArgs } from "node:util";
import buildPrograms from "../support/compiled-programs.ts";
import { until } from "../support/until.ts";
import { fill, fillWorkers } from "./fill.ts";
import { API_KEY, connect, type Timing, timingOf } from "./load.ts";
import { openPostgres } from "./postgres.ts";
import { peakRssMb } from "./process-usage.ts";
import { startService } from "./service.ts";
import { openListeners, openWaitingWorkers } from "./waiting-clients.ts";

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "200000" },
    waiting: { type: "string", default: "2000" },
    listeners: { type: "string", default: "500" },
    rounds: { type: "string", default: "60" },
    check: { type: "boolean", default: false },
  },
});
const large = { tasks: Number(values.tasks), waiting: Number(values.waiting), listeners: Number(values.listeners) };
const small = { tasks: 1_000, waiting: 20, listeners: 5 };
const rounds = Number(values.rounds);
if (![...Object.values(large), rounds].every((n) => Number.isInteger(n) && n > 0)) {
  process.stderr.write(
    "Usage: npm run bench:scale -- --tasks 200000 --waiting 2000 --listeners 500 [--rounds 60] [--check]\n",
  );
  process.exit(2);
}

const R = "/api/runtime";
/** How often it is looked whether something has come. */
const SOON = { everyMs: 1 };
const READS = {
  "one task": (id: string) => `/llm-tasks/${id}`,
  "50 tasks": () => "/llm-tasks?limit=50",
  "50 failed tasks": () => "/llm-tasks?status=failed&limit=50",
  history: (id: string) => `/llm-tasks/${id}/history`,
  explain: (id: string) => `/llm-tasks/${id}/explain`,
  stats: () => "/stats",
  health: () => "/health",
};

function sizeText({ tasks, waiting, listeners }: Size): string {
  return `${tasks} finished tasks, ${waiting} waiting workers, ${listeners} listeners`;
}

await using postgres = await openPostgres();
await buildPrograms();

type Size = typeof large;
interface Measured {
  timings: Record<string, Timing>;
  databaseMb: number;
  rssMb: number;
}
/** A service of some size, which is measured round by round. */
interface Opened {
  /** Takes the times of what one task goes through, and of the reads beside it. Rounds below 0 do not count. */
  round(n: number): Promise<void>;
  measured(): Promise<Measured>;
}

/** Makes a service of that size in a database of its own, with everybody who waits at it. */
async function open(size: Size): Promise<Opened> {
  process.stderr.write(`${sizeText(size)} …\n`);
  const database = await postgres.makeDatabase(`scale_${size.tasks}`);
  const { client } = database;
  const { base, pid } = await startService(postgres, database);
  const { completed } = await fill(client, size.tasks, 0);
  await fillWorkers(client, size.waiting);
  const kinds = Math.ceil(size.waiting / 4);
  const workers = openWaitingWorkers(base, API_KEY, size.waiting, kinds);
  postgres.atEnd(workers.close);
  const listeners = openListeners(base, API_KEY, size.listeners);
  postgres.atEnd(listeners.close);
  await Promise.all([workers.opened, listeners.opened]);
  await until("opening the streams", () => listeners.open() === size.listeners);

  const times = new Map<string, number[]>();
  const took = (name: string, ms: number) => times.set(name, [...(times.get(name) ?? []), ms]);
  let caller: ReturnType<typeof connect> | undefined;
  return {
    async round(n) {
      // Not before: a connection without a request is closed while the other service is made.
      if (!caller) {
        caller = connect(base, API_KEY, times);
        postgres.atEnd(caller.close);
      }
      if (n === 0) times.clear();
      const task = {
        context_id: "new",
        agent_slug: `agent-${((n + rounds) * 37) % kinds}`,
        prompt: "Write a haiku about seeds.",
      };
      const created = performance.now();
      const { id }: { id: string } = JSON.parse(await caller.call("create", "POST", `${R}/llm-tasks`, task));
      await Promise.all([
        until("waking a worker", () => workers.handed.has(id), SOON),
        until("telling all listeners", () => listeners.told(id) === size.listeners, SOON).then((at) =>
          took("create, until all listeners know", at - created),
        ),
      ]);
      const { at, leaseId } = workers.handed.get(id) ?? { at: Number.NaN, leaseId: "" };
      took("create, until a waiting worker has it", at - created);
      const held = { lease_id: leaseId };
      await caller.call("heartbeat", "POST", `${R}/llm-tasks/${id}/heartbeat`, held);
      const result = { status: "success", output: "A seed holds its breath.", metrics: { duration_ms: 1 }, ...held };
      await caller.call("complete", "POST", `${R}/llm-tasks/${id}/complete`, result);
      for (const [name, path] of Object.entries(READS)) await caller.call(name, "GET", R + path(completed));
    },
    async measured() {
      if (workers.lost.length > 0)
        throw new Error(`${workers.lost.length} workers do not wait any more: ${workers.lost[0]}`);
      const { rows } = await client.query<{ mb: number }>(
        "select pg_database_size(current_database())::float8 / 1e6 as mb",
      );
      const timings = Object.fromEntries([...times].map(([name, list]) => [name, timingOf(list)]));
      return { timings, databaseMb: rows[0]?.mb ?? Number.NaN, rssMb: peakRssMb(pid) };
    },
  };
}

const [largeService, smallService] = [await open(large), await open(small)];
// In turns, so that what else the machine does meets both. The first rounds do not count: V8 compiles the services meanwhile.
for (let n = -Math.ceil(rounds / 2); n < rounds; n++) {
  const inTurn = n % 2 === 0 ? [smallService, largeService] : [largeService, smallService];
  for (const service of inTurn) await service.round(n);
}
const [first, second] = [await smallService.measured(), await largeService.measured()];

const ms = (value: number) => value.toFixed(1);
const lines = Object.entries(second.timings).map(([name, { p50, p95, max }]) => {
  const before = first.timings[name];
  const times = p50 / (before?.p50 ?? Number.NaN);
  return {
    name,
    times,
    cells: [before?.p50, p50].map((value) => ms(value ?? Number.NaN)),
    rest: [before?.p95, p95, max],
  };
});
process.stdout.write(
  `${[
    `Small: ${sizeText(small)}. Large: ${sizeText(large)}. ${rounds} tasks, one after the other, in ms:`,
    "",
    "| | p50 small | p50 large | times | p95 small | p95 large | most large |",
    "|---|---|---|---|---|---|---|",
    ...lines.map(
      ({ name, times, cells, rest }) =>
        `| ${name} | ${cells.join(" | ")} | ${times.toFixed(2)} | ${rest.map((value) => ms(value ?? Number.NaN)).join(" | ")} |`,
    ),
    "",
    `The database has ${second.databaseMb.toFixed(0)} MB, and the service took at most ${second.rssMb.toFixed(0)} MB (small: ${first.databaseMb.toFixed(0)} and ${first.rssMb.toFixed(0)}).`,
  ].join("\n")}\n`,
);
if (values.check) {
  const missed = lines.filter(({ times }) => !(times <= 2));
  for (const { name, times } of missed) process.stderr.write(`${name} takes ${times.toFixed(2)} times as long.\n`);
  process.exitCode = missed.length > 0 ? 1 : 0;
}
