import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { statement } from "../db/statement.ts";
import { inTransaction } from "../db/transaction.ts";
import {
  type ClaimedDelivery,
  callsLeft,
  callsNow,
  claimedColumns,
  given,
  lostAt,
  takeDue,
} from "./delivery-claim-parts.ts";

/** Locks up to `most` turns that are due, and skips those that another instance is taking. */
const TAKE_TURNS = statement<{ target: string }, { most: number }>(
  "take_callback_turns",
  sql`select target from runtime_callback_turns where due_at <= ${nowMs} order by due_at limit ${given("most")}::int
    for update skip locked`,
);

/**
 * Takes due deliveries of the targets, up to `most`, and moves the turn of each target. A target with more due deliveries goes to the end of the
 * line. For any other, the next turn comes when its next delivery is due and its rest is over; a target with nothing pending leaves the line. A
 * target that got nothing because `most` was reached keeps its place.
 */
const CLAIM = statement<ClaimedDelivery, { targets: string[]; busy: string[]; calls: string[]; most: number }>(
  "claim_callbacks",
  sql`with turn as (
      select t.name, t.nth, ${callsLeft} as calls_left, coalesce(r.until, 0) as rests_until
      from unnest(${given("targets")}::text[]) with ordinality as t (name, nth)
        left join runtime_webhook_rests r on r.target = t.name
        left join ${callsNow} on b.name = t.name
    ), open as (
      select name, calls_left from turn where rests_until <= ${nowMs} order by nth
    ), ${takeDue}, next as (
      select t.name, t.rests_until, least(
        (select d.next_at from runtime_webhook_deliveries d
         where d.target = t.name and d.state = 'pending' and d.id not in (select id from due) order by d.next_at limit 1),
        (select ${lostAt} from due where due.target = t.name limit 1)) as due_at
      from turn t
      where t.name in (select target from due) or (select count(*) from due) < ${given("most")}::int
    ), moved as (
      update runtime_callback_turns c set due_at = greatest(n.due_at, n.rests_until, ${nowMs})
      from next n where c.target = n.name and n.due_at is not null
    ), left_line as (
      delete from runtime_callback_turns c using next n where c.target = n.name and n.due_at is null
    )
    select ${claimedColumns}, d.url, null as secret, null as previous_secret from claimed d`,
);

/**
 * Takes up to `most` callbacks that are due. Each host in a `callback_url` is a target, and the turns of all targets stand in one line. The cost of a
 * claim grows with what it claims: a look through 51,000 waiting hosts took 0.9 s.
 */
export function claimCallbacks(db: Db, calls: ReadonlyMap<string, number>, most: number): Promise<ClaimedDelivery[]> {
  return inTransaction(db, async (tx) => {
    // The busy targets may have no calls left. A further turn for each of them keeps them from taking the places of others.
    const turns = await TAKE_TURNS(tx, { most: most + calls.size });
    if (turns.length === 0) return [];
    // This second statement sees every delivery that was queued before the turns were locked, so that none of them is forgotten when a turn
    // is moved.
    return await CLAIM(tx, {
      targets: turns.map(({ target }) => target),
      busy: [...calls.keys()],
      calls: [...calls.values()].map(String),
      most,
    });
  });
}
