import { type SQL, sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";

/** How many calls to one target an instance makes at once, so that a slow receiver holds up nobody but itself. */
export const PER_TARGET = 4;
/**
 * A call without a record after this time counts as lost (its instance died), and the delivery is sent again. No call may take as long as this.
 */
const LOST_AFTER_MS = 60_000;

/** A delivery that is to be sent now. */
export interface ClaimedDelivery {
  id: string;
  target: string;
  /** The address of a callback, or of the webhook. */
  url: string;
  /** The webhook's secrets as they are stored; null for a callback. */
  secret: string | null;
  previous_secret: string | null;
  type: string;
  entry_id: string;
  occurred_at: number;
  task_id: string | null;
  entity_type: string;
  entity_id: string;
  /** How often it was sent, with this time. */
  attempts: number;
  retry_until: number;
  created_at: number;
  /** The database's time, in epoch milliseconds. */
  now: number;
}

export const given = (name: string) => sql`${sql.placeholder(name)}`;

/**
 * In SQL, how many calls to a target may still begin. `r` is the target's rest, if it has one, and `b.calls` are the calls under way. A target
 * that failed lately gets one.
 */
export const callsLeft = sql`case when r.failures is null then ${sql.raw(String(PER_TARGET))} else 1 end - coalesce(b.calls, 0)`;

/** In SQL, the calls that this instance makes now: `b.name` and `b.calls`. */
export const callsNow = sql`unnest(${given("busy")}::text[], ${given("calls")}::int[]) as b (name, calls)`;

/** In SQL, when a call that begins now counts as lost. */
export const lostAt = sql`${nowMs} + ${sql.raw(String(LOST_AFTER_MS))}`;

/**
 * In SQL, the CTEs `due` and `claimed`: of each target in the CTE `open` (name, calls_left) the deliveries that are due, `most` of them at most,
 * are taken until their calls count as lost.
 */
export const takeDue: SQL = sql`due as (
      select d.id, d.target from open as o cross join lateral (
        select id, target from runtime_webhook_deliveries d
        where d.target = o.name and d.state = 'pending' and d.next_at <= ${nowMs}
        order by d.next_at limit greatest(o.calls_left, 0) for update skip locked
      ) as d limit ${given("most")}::int
    ), claimed as (
      update runtime_webhook_deliveries d set attempts = d.attempts + 1, next_at = ${lostAt}
      from due where d.id = due.id
      returning d.*
    )`;

/** In SQL, the columns of a claimed delivery `d` that are the same for webhooks and callbacks. */
export const claimedColumns = sql`d.id, d.target, d.type, d.entry_id, d.occurred_at, d.task_id, d.entity_type, d.entity_id,
      d.attempts, d.retry_until, d.created_at, ${nowMs} as now`;
