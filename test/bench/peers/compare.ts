/**
 * `npm run bench:peers -- --clients 16,64 --rounds 3 --seconds 8`: tasks a second of this service beside those of pg-boss behind an HTTP proxy, in
 * three calls a task, in turns, on the same PostgreSQL: that at TEST_DATABASE_URL, else the embedded one. It installs pg-boss and Node.js 24 from
 * npm, outside this package.
 */
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { openPostgres } from "../postgres.ts";
import type { Timed } from "../processor-time.ts";
import { type Rounds, tableOf } from "./comparison-report.ts";
import { checkCompleted, measure } from "./measure.ts";
import { openPgBoss } from "./pg-boss.ts";
import type { Side } from "./side.ts";
import { openThisService } from "./this-service.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "16,64" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "8" },
  },
});
const crowds = values.clients.split(",").map(Number);
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
if (![...crowds, rounds].every((n) => Number.isInteger(n) && n > 0) || !(seconds > 0)) {
  process.stderr.write("Usage: npm run bench:peers -- --clients 16,64 --rounds 3 --seconds 8\n");
  process.exit(2);
}

const say = (text: string) => process.stderr.write(`${text}\n`);
const machine = `${availableParallelism()} cores, load average ${loadavg()[0]?.toFixed(1)} before the run`;
await using postgres = await openPostgres();
const { admin } = postgres;

async function compare(): Promise<string> {
  say("Getting pg-boss and Node.js 24 …");
  const theirs = await openPgBoss(postgres);
  const ours = await openThisService(postgres, Math.max(...crowds));
  const counted = new Map([
    [ours, 0],
    [theirs, 0],
  ]);
  const take = async (side: Side, clients: number): Promise<Timed> => {
    const measured = await measure(side, admin, clients, seconds);
    counted.set(side, (counted.get(side) ?? 0) + measured.everDone);
    return measured;
  };
  say("Warming up …");
  for (const side of [ours, theirs]) await take(side, Math.min(...crowds));
  const all: Rounds[] = crowds.map((clients) => ({ clients, ours: [], theirs: [] }));
  // In turns, so that what else the machine does meets both.
  for (const done of all)
    for (let round = 1; round <= rounds; round++) {
      done.ours.push(await take(ours, done.clients));
      done.theirs.push(await take(theirs, done.clients));
      const [a, b] = [done.ours.at(-1)?.perSecond ?? Number.NaN, done.theirs.at(-1)?.perSecond ?? Number.NaN];
      say(`${done.clients} clients, round ${round}: ${a.toFixed(0)} and ${b.toFixed(0)} tasks a second`);
    }
  for (const [side, n] of counted) await checkCompleted(side, n);
  const { rows } = await admin.query<{ name: string; setting: string }>(
    "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'server_version') order by name",
  );
  const settings = rows.map(({ name, setting }) => `${name} = ${setting}`).join(", ");
  return tableOf(all, [`${ours.title}; ${theirs.title}; ${machine}.`], settings);
}

try {
  process.stdout.write(await compare());
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
