/**
 * A worker whose tasks fail at once, while the tasks of other workers do not, gets no new work for a while: a broken machine must not empty
 * the queue.
 */
import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { newId } from "../db/ids.ts";
import { statement } from "../db/statement.ts";
import { beganAfterRest, insertRested, restByVerdict } from "./rest-parts.ts";
import { growingMs } from "./worker-rest.ts";

/** A task that fails within this time after its lease began hardly ran: its command may be missing, or its account at its limit. */
const FAST_MS = 10_000;
/** After this number of such failures in a row a worker rests. After its first rest each further failure brings another, until it has a success. */
const FAILURES = 3;
const FIRST_REST_MS = 5_000;
/** Another worker counts as healthy when it had a success within this time, the longest that a task may run, and no quick failure since. */
const SUCCESS_IS_RECENT_MS = 3_600_000;
/** The time of a success is written only this often: the calls of a busy worker would wait for its row. */
const WRITTEN_EVERY_MS = 60_000;

/** True in SQL for a worker whose success is worth writing: it ends failures in a row, or is the first success for a while. */
export const isNewSuccess = sql`(${workers.fast_failures} > 0 or ${workers.rests} > 0 or ${workers.troubles} > 0
  or coalesce(${workers.succeeded_at}, 0) < ${nowMs} - ${sql.raw(String(WRITTEN_EVERY_MS))})`;

const SUCCEEDED = statement<never, { workerId: string }>(
  "succeeded",
  sql`update ${workers} set fast_failures = 0, rests = 0, troubles = 0, succeeded_at = ${nowMs}
    where ${workers.id} = ${sql.placeholder("workerId")} and ${isNewSuccess}`,
);

/** Records that the worker completed a task with a success. Locks the worker, after the task. An unknown worker is no fault. */
export async function recordSuccess(db: Db, workerId: string): Promise<void> {
  await SUCCEEDED(db, { workerId });
}

type Values = { leaseId: string; entryId: string };
const given = (name: keyof Values) => sql`${sql.placeholder(name)}::uuid`;
const ms = (value: number): SQL => sql.raw(String(value));

/** True in SQL when the task failed before, on this worker or on another. */
const failedBefore = (where: "here" | "elsewhere") => sql`exists (
        select from llm_results r where r.task_id = failed.task_id and r.status = 'error' and r.error_kind is null and r.lease_id is distinct from failed.id
          and ${sql.raw(where === "here" ? "r.worker_id = failed.worker_id" : "r.worker_id <> failed.worker_id")})`;

/**
 * Counts a failure against the worker, unless the task itself is to blame: it failed before on another worker; or on this one, unless this worker has
 * rested since its last success.
 */
const FAILED = statement<never, Values>(
  "failed",
  sql`with failed as (
      select id, task_id, worker_id, started_at, started_at > ${nowMs} - ${ms(FAST_MS)} as is_fast from leases where id = ${given("leaseId")}
    ), self as (
      select ${workers.id}, ${workers.rest}, ${workers.fast_failures} + 1 as in_a_row, ${workers.rests} from ${workers}
      where ${workers.id} = (select worker_id from failed) for no key update
    ), verdict as (
      select self.*, is_fast, is_fast and (in_a_row >= ${ms(FAILURES)} or rests > 0) and exists (
          select from ${workers} where ${workers.id} <> self.id and ${workers.fast_failures} = 0
            and ${workers.succeeded_at} > ${nowMs} - ${ms(SUCCESS_IS_RECENT_MS)}
        ) as must_rest,
        ${growingMs(FIRST_REST_MS, sql`rests`)} as rest_ms,
        in_a_row || ' of its tasks in a row failed within seconds, while those of others did not' as reason
      from failed, self
      where ${beganAfterRest}
        and not ${failedBefore("elsewhere")} and (rests > 0 or not ${failedBefore("here")})
    ), changed as (
      update ${workers} as w
      set fast_failures = case when is_fast then in_a_row else 0 end, rests = case when must_rest then w.rests + 1 else w.rests end,
        rest = ${restByVerdict("failures")}
      from verdict where w.id = verdict.id
    )
    ${insertRested(given("entryId"))}`,
);

/**
 * Records that a task failed under this lease. When that was one failure too many, the worker rests, which is audited. Locks the worker, after the
 * task. A worker that was removed meanwhile is no fault.
 */
export async function recordTaskFailure(db: Db, leaseId: string): Promise<void> {
  await FAILED(db, { leaseId, entryId: newId() });
}
