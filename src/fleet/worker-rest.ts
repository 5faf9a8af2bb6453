import { sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/schema.ts";
import type { Rest } from "../db/values.ts";
import { Refusal } from "../errors.ts";

/** It gets no new work now, whoever asks; what it holds goes on. */
export const isResting = sql`(${workers.rest} is not null
  and coalesce((${workers.rest} ->> 'until')::bigint > ${nowMs}, true))`;

/** The whole seconds until the rest of a worker ends; null without an end. */
export const restSeconds = sql<number | null>`ceil(((${workers.rest} ->> 'until')::bigint - ${nowMs}) / 1000.0)::int`;

/** What a caller hears who comes for a worker whose rest has no end: nobody knows when it is resumed. */
const WITHOUT_END_SECONDS = 300;

/** The worker rests, so that it gets no new work (`status`: 409 for its own claim, 503 for a lease in its name). */
export class Resting extends Refusal {
  readonly status: 409 | 503;
  override readonly retryAfterSeconds: number;
  constructor(status: 409 | 503, workerId: string, rest: Rest, seconds: number | null) {
    super(`Worker ${workerId} rests until ${endOf(rest)}: ${rest.reason}`);
    this.status = status;
    this.retryAfterSeconds = seconds ?? WITHOUT_END_SECONDS;
  }
}

/** When a rest ends, in words. */
export const endOf = ({ until }: Rest): string =>
  until === null ? "somebody resumes it" : new Date(until).toISOString();
