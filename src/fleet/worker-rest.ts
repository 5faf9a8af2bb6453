import { sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/schema.ts";
import type { Rest } from "../db/values.ts";
import { Refusal } from "../errors.ts";

/** True in SQL for a worker that rests: it gets no new work, whoever asks, and its running tasks go on. A rest whose end has passed does not count. */
export const isResting = sql`(${workers.rest} is not null
  and coalesce((${workers.rest} ->> 'until')::bigint > ${nowMs}, true))`;

/** The whole seconds until a worker's rest ends; null for a rest without an end. */
export const restSeconds = sql<number | null>`ceil(((${workers.rest} ->> 'until')::bigint - ${nowMs}) / 1000.0)::int`;

/** The Retry-After for a worker whose rest has no end, since nobody knows when it will be resumed. */
const WITHOUT_END_SECONDS = 300;

/** The worker rests and gets no new work. `status` is 409 for its own claim, and 503 for a caller that leases a task to it. */
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
