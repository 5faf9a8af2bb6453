/**
 * Whether a worker rests now, for how long, and which of its rests end early. Rests start in start-rest.ts, quick-failures.ts, rest-after-trouble.ts
 * and account-limits.ts.
 */
import { inArray, type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Rest } from "../db/json-types.ts";
import { Refusal } from "../errors.ts";
import { isoTime } from "../format-iso-time.ts";

/** True for a rest, or a drain, whose end has not passed. */
export const isInForce = (rest: SQLWrapper) =>
  sql`(${rest} is not null and coalesce((${rest} ->> 'until')::bigint > ${nowMs}, true))`;
const isOwnRest = isInForce(workers.rest);
const isAccountRest = isInForce(workers.account_rest);

/** True in SQL when the worker gets no new work now from any caller: it rests, or its account does. What it holds goes on. */
export const isResting = sql`(${isOwnRest} or ${isAccountRest})`;

/** The worker's own rest and its account's. A rest whose end has passed does not count. */
export const ownRest = sql<Rest | null>`case when ${isOwnRest} then ${workers.rest} end`;
export const accountRest = sql<Rest | null>`case when ${isAccountRest} then ${workers.account_rest} end`;
/** The rest that keeps the worker from work now; null where it does not rest. */
export const currentRest = sql<Rest | null>`coalesce(${ownRest}, ${accountRest})`;

/** The whole seconds until that rest ends; null without an end. */
export const restSeconds = sql<number | null>`ceil(((${currentRest} ->> 'until')::bigint - ${nowMs}) / 1000.0)::int`;

/** In SQL, how long a worker is left alone, in milliseconds: `firstMs`, and twice as long each of the next `times`, 5 min at most. */
export const growingMs = (firstMs: number, times: SQL) =>
  sql`least(300000, ${sql.raw(String(firstMs))} * 2 ^ least(${times}, 10))::bigint`;

/** The Retry-After for a worker whose rest has no end, since nobody knows when it will be resumed. */
const WITHOUT_END_SECONDS = 300;

/** The worker rests and gets no new work. `status` is 409 for its own claim, and 503 for a caller that leases a task to it. */
export class Resting extends Refusal {
  readonly status: 409 | 503;
  override readonly retryAfterSeconds: number;
  constructor(status: 409 | 503, workerId: string, rest: Rest, seconds: number | null) {
    super(`Worker ${workerId} ${restInWords(rest)}`);
    this.status = status;
    this.retryAfterSeconds = seconds ?? WITHOUT_END_SECONDS;
  }
}

/** "rests until <its end>: <why>". The end stands once, also where a CLI's message names it. */
export function restInWords({ until, reason }: Rest): string {
  const end = until === null ? "somebody resumes it" : isoTime(until);
  return `rests until ${end}: ${reason.replace(` until ${end}`, "")}`;
}

const restWithout = (...kinds: Rest["kind"][]) =>
  sql`case when ${inArray(sql`${workers.rest} ->> 'kind'`, kinds)} then null else ${workers.rest} end`;
/**
 * The worker's rest after it has registered anew: null where that ends the rest. A worker that said itself that it can do no work was started anew
 * since then.
 */
export const restOnceRegistered = restWithout("auth", "no_cli", "worker");
/** The worker's rest after its agent has said that the CLI is there: null where that ends the rest. */
export const restWithCli = restWithout("no_cli");
