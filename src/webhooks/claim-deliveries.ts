import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { statement } from "../db/statement.ts";
import { isCallbackTarget } from "./callback.ts";

/** How many calls to one target an instance makes at once, so that a slow receiver holds up nobody but itself. */
export const PER_TARGET = 4;
/**
 * The most callbacks that an instance sends at once, to all targets together. Each host in a `callback_url` is a target: 3,000 hosts that never
 * answered left no room for webhooks for minutes.
 */
const MOST_CALLBACKS = 50;
/** A call that was not recorded in this time is lost with its instance, and the delivery is tried again. It is longer than a call may take. */
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

const given = (name: string) => sql`${sql.placeholder(name)}`;

/** In SQL, the ids of due deliveries to those targets in `open` for which `which` is true: `room` of them at most. */
const dueFor = (
  which: SQL,
  room: SQL,
) => sql`select d.id from (select * from open where ${which}) as o cross join lateral (
        select id from runtime_webhook_deliveries d
        where d.target = o.name and d.state = 'pending' and d.next_at <= ${nowMs}
        order by d.next_at limit greatest(o.room, 0) for update skip locked
      ) as d limit ${room}::int`;

/**
 * The targets that have something to get are found one after the other in an index: each is one step, however much waits for it. They come in a random
 * order, so that none always comes last where there is not room for all; webhooks before callbacks. A target that failed lately gets one call.
 */
const CLAIM = statement<ClaimedDelivery, { busy: string[]; calls: string[]; room: number; callback_room: number }>(
  "claim_deliveries",
  sql`with recursive target as (
      (select target as name from runtime_webhook_deliveries where state = 'pending' order by target limit 1)
      union all
      select (select d.target from runtime_webhook_deliveries d where d.state = 'pending' and d.target > t.name order by d.target limit 1)
      from target t where t.name is not null
    ), open as (
      select t.name, t.name like 'callback %' as is_callback,
        case when r.failures is null then ${sql.raw(String(PER_TARGET))} else 1 end - coalesce(b.calls, 0) as room
      from target t
        left join runtime_webhook_rests r on r.target = t.name
        left join unnest(${given("busy")}::text[], ${given("calls")}::int[]) as b (name, calls) on b.name = t.name
      where coalesce(r.until, 0) <= ${nowMs}
        and (t.name like 'callback %' or exists (select from runtime_webhooks h where h.id::text = t.name and h.off_since is null))
      order by random()
    ), due as (
      select id from (
        (${dueFor(sql`not is_callback`, given("room"))}) union all (${dueFor(sql`is_callback`, given("callback_room"))})
      ) as due limit ${given("room")}::int
    ), claimed as (
      update runtime_webhook_deliveries d set attempts = d.attempts + 1, next_at = ${nowMs} + ${sql.raw(String(LOST_AFTER_MS))}
      from due where d.id = due.id
      returning d.*
    )
    select d.id, d.target, coalesce(d.url, h.url) as url, h.secret, case when h.previous_secret_until > ${nowMs} then h.previous_secret end as previous_secret,
      d.type, d.entry_id, d.occurred_at, d.task_id, d.entity_type, d.entity_id, d.attempts, d.retry_until, d.created_at, ${nowMs} as now
    from claimed d left join runtime_webhooks h on d.url is null and h.id::text = d.target`,
);

/**
 * Takes up to `room` deliveries that are due, for this instance alone until their call counts as lost. `calls` says how many calls this instance makes
 * to each target now.
 */
export function claimDeliveries(db: Db, calls: ReadonlyMap<string, number>, room: number): Promise<ClaimedDelivery[]> {
  let callback_room = MOST_CALLBACKS;
  for (const [target, count] of calls) if (isCallbackTarget(target)) callback_room -= count;
  return CLAIM(db, {
    busy: [...calls.keys()],
    calls: [...calls.values()].map(String),
    room,
    callback_room: Math.max(callback_room, 0),
  });
}
