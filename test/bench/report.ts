import { readFileSync } from "node:fs";
import type { Growth } from "./bytes-per-lifecycle.ts";
import type { LoadResult } from "./load.ts";
import { MANY } from "./machine-limits.ts";
import type { Timed } from "./processor-time.ts";
import type { Sweep } from "./sweep.ts";

export interface Report {
  size: number;
  clients: number;
  /** Lifecycles a second of bare SQL, and of bare Express. */
  sql: number;
  express: number;
  /** Tasks a second of bare inserts of many rows, and of calls that create as many. */
  inserts: number;
  creations: LoadResult;
  empty: Timed & Growth;
  /** The same with four times as many clients. */
  crowd: Timed;
  full: LoadResult & Growth;
  /** Reads, one after another, while all other clients do lifecycles. */
  reads: LoadResult;
  claims: LoadResult;
  bulk: LoadResult;
  sweep: Sweep;
  /** Lifecycles whose outputs go into a bucket. */
  bucket: LoadResult;
  startMs: number;
  idleCore: number;
  rssMb: number;
  databaseMb: number;
}

/** How many times as many clients a crowd has. */
export const CROWD = 4;
const SECONDS_A_YEAR = 31_536_000;
const whole = (value: number) => value.toFixed(0);
const ms = (value: number) => value.toFixed(1);
const cost = ({ serverMs, postgresMs }: Timed) =>
  `${serverMs.toFixed(2)} ms of the service's processor time and ${postgresMs.toFixed(2)} ms of PostgreSQL's`;

/** The report as two tables in Markdown. */
export function tableOf(report: Report): string {
  const { size, clients, sql, express, inserts, creations, empty, crowd, full, reads, claims, bulk, sweep, bucket } =
    report;
  // What a service that does one after the other could reach at most.
  const both = 1 / (1 / sql + 1 / express);
  const speed = (what: string, perSecond: number) =>
    `| ${what} | ${whole(perSecond)} | ${[sql, express, both].map((floor) => (perSecond / floor).toFixed(2)).join(" | ")} |`;
  const calls = Object.entries({
    ...reads.timings,
    ...claims.timings,
    ...bulk.timings,
    ...full.timings,
    "complete, with a bucket": bucket.timings.complete,
  });
  const yearGb = (SECONDS_A_YEAR * empty.bytesEach) / 1e9;
  return `${[
    `| ${clients} clients | a second | of bare SQL | of bare Express | of both, one after the other |`,
    "|---|---|---|---|---|",
    speed("lifecycles as bare SQL", sql),
    speed("lifecycles on bare Express", express),
    speed("lifecycles, empty", empty.perSecond),
    speed(`lifecycles, empty, ${clients * CROWD} clients`, crowd.perSecond),
    speed(`lifecycles, ${size} tasks`, full.perSecond),
    speed("lifecycles, 32 claimed at a time", bulk.perSecond),
    speed("lifecycles, outputs in a bucket of this process", bucket.perSecond),
    "",
    `| Call, at ${size} tasks | p50 ms | p95 ms | p99 ms |`,
    "|---|---|---|---|",
    ...calls
      .flatMap(([name, timing]) => (timing ? [[name, timing] as const] : []))
      .map(([name, { p50, p95, p99 }]) => `| ${name} | ${ms(p50)} | ${ms(p95)} | ${ms(p99)} |`),
    "",
    `A lifecycle took ${cost(empty)}; with ${clients * CROWD} clients ${cost(crowd)}.`,
    `Calls that create ${MANY} tasks made ${whole(creations.perSecond)} a second, ${(creations.perSecond / inserts).toFixed(2)} of what bare inserts of ${MANY} rows did.`,
    `A sweep of ${sweep.leases} overdue leases took ${whole(sweep.tookMs)} ms, the longest call meanwhile ${whole(sweep.longestCallMs)} ms; a sweep that finds nothing ${ms(sweep.idleMs)} ms.`,
    `The service took at most ${whole(report.rssMb)} MB, started in ${whole(report.startMs)} ms, and idles at ${(report.idleCore * 100).toFixed(1)} % of a core.`,
    `A lifecycle leaves ${empty.bytesEach} bytes in the database and ${empty.walBytesEach} in its log, ${full.walBytesEach} at ${size} tasks: one a second for a year, ${whole(yearGb)} GB. The database has ${whole(report.databaseMb)} MB.`,
  ].join("\n")}\n`;
}

interface Expected {
  ofSql: number;
  bulkOfSql: number;
  fullOfEmpty: number;
  /** The slowest p95 of all reads, as a multiple of the p95 of a health check under the same load. */
  slowestReadOfHealth: number;
  rssMb: number;
}

/** What of `expected.json` the report misses, a sentence each. The bounds leave room for a machine that others use at the same time. */
export function misses({ sql, empty, full, bulk, reads, rssMb }: Report): string[] {
  const expected: Expected = JSON.parse(readFileSync(new URL("expected.json", import.meta.url), "utf8"));
  const p95s = Object.entries(reads.timings).map(([name, { p95 }]) => [name, p95] as const);
  const [slowest, slowestMs] = p95s.reduce((one, other) => (other[1] > one[1] ? other : one));
  const least = (what: string, is: number, bound: number) =>
    is < bound && `${what} is ${is.toFixed(3)}; at least ${bound} is expected.`;
  const most = (what: string, is: number, bound: number) =>
    is > bound && `${what} is ${is.toFixed(1)}; at most ${bound} is expected.`;
  return [
    least("Lifecycles, as a share of bare SQL,", empty.perSecond / sql, expected.ofSql),
    least(
      "Lifecycles on full tables, as a share of those on empty ones,",
      full.perSecond / empty.perSecond,
      expected.fullOfEmpty,
    ),
    least("Lifecycles by 32, as a share of bare SQL,", bulk.perSecond / sql, expected.bulkOfSql),
    most(
      `The p95 of "${slowest}", as a multiple of that of health,`,
      slowestMs / (reads.timings.health?.p95 ?? 0),
      expected.slowestReadOfHealth,
    ),
    most("The memory in MB", rssMb, expected.rssMb),
  ].filter((miss) => miss !== false);
}
