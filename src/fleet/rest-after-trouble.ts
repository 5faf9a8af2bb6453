import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { TROUBLES, workers } from "../db/fleet-tables.ts";
import { newId } from "../db/ids.ts";
import type { ErrorKind } from "../db/kinds.ts";
import { statement } from "../db/statement.ts";
import { beganAfterRest, insertRested, restByVerdict } from "./rest-parts.ts";
import { growingMs } from "./worker-rest.ts";

const FIRST_REST_MS = 60_000;

const ms = (value: number) => sql.raw(String(value));
const text = (name: "kind") => sql`${sql.placeholder(name)}::text`;
const uuid = (name: "leaseId" | "entryId") => sql`${sql.placeholder(name)}::uuid`;

const TROUBLED = statement<never, { leaseId: string; entryId: string; kind: string }>(
  "troubled",
  sql`with failed as (
      select worker_id, started_at from leases where id = ${uuid("leaseId")}
    ), self as (
      select ${workers.id}, ${workers.rest}, ${workers.troubles} + 1 as in_a_row from ${workers}
      where ${workers.id} = (select worker_id from failed) for no key update
    ), verdict as (
      select self.*, in_a_row >= ${ms(TROUBLES)} as must_rest,
        ${growingMs(FIRST_REST_MS, sql`in_a_row - ${ms(TROUBLES)}`)} as rest_ms,
        'its last ' || in_a_row || ' attempts all failed, the last one with error kind ' || ${text("kind")} as reason
      from failed, self
      where ${beganAfterRest}
    ), troubled as (
      update ${workers} as w set troubles = in_a_row,
        rest = ${restByVerdict("trouble")}
      from verdict where w.id = verdict.id
    )
    ${insertRested(uuid("entryId"))}`,
);

/**
 * Takes down that the attempt under this lease ended in trouble with the provider, a time-out or a crash. From the third in a row on the worker
 * rests, for 60 s and then for twice as long each time, at most 300 s; between the rests it has one slot, until it has a success. Locks the
 * worker: after the task. An unknown lease is no fault.
 */
export async function recordTrouble(db: Db, leaseId: string, kind: ErrorKind): Promise<void> {
  await TROUBLED(db, { leaseId, entryId: newId(), kind });
}
