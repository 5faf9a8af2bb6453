import { sql } from "drizzle-orm";
import type { Event } from "../contract/event-record.ts";
import { isUuidText } from "../db/audit-table.ts";
import type { Db } from "../db/client.ts";
import { STORED_TIMELINE, timelineNumber, UNKNOWN_TIMELINE } from "../db/server-timeline.ts";
import { statement } from "../db/statement.ts";
import { Unavailable } from "../errors.ts";
import { type EntryPosition, type Position, positionText } from "./position.ts";
import { eventType } from "./type-of-entry.ts";

/** An event, where it stands, and what a stream sends of it. */
export interface PlacedEvent {
  at: Position;
  event: Event;
}

/**
 * Some events in their order, read from `from`, and the position behind all that was looked at. `isWhole`: there were no more. `isKnown` is false
 * where `from` is of another timeline, or entries behind it were removed: there are no events then, and `until` is now.
 */
export interface EventBatch {
  from: Position;
  events: PlacedEvent[];
  until: Position;
  isWhole: boolean;
  isKnown: boolean;
}

/** How many events one query reads. */
const BATCH = 500;

type Row = EntryPosition & Omit<Event, "id">;

const given = (name: "xid" | "seq") => sql.placeholder(name);

/** In SQL, the task that the audit entry `e` is about; null where it is about none. An adopted database may hold any text as an id. */
export const taskOfEntry = sql`case
    when e.entity_type = 'llm_task' then e.entity_id
    when e.entity_type = 'lease' and ${isUuidText(sql`e.entity_id`)}
      then (select l.task_id::text from leases l where l.id = e.entity_id::uuid) end`;

/** In SQL, the number of the oldest transaction that still runs: all below it have ended, and this query sees what they wrote. */
export const horizon = sql`pg_snapshot_xmin(pg_current_snapshot())`;

const timelineNow = sql.raw(STORED_TIMELINE);

/** Throws Unavailable for a server that takes no changes: what it has may be behind, or of a timeline that has ended. */
function timelineOf(digits: string | null): number {
  if (digits === null) throw new Unavailable("The database server takes no changes at the moment; try again.");
  return timelineNumber(digits);
}

const READ = statement<{ timeline: string | null; found: Row[] }, { xid: string; seq: string }>(
  "read_events",
  sql`select ${timelineNow} as timeline, coalesce((
      select json_agg(f order by f.xid, f.seq) from (
        select e.xid::text::bigint as xid, e.seq, ${eventType} as type, e.timestamp, ${taskOfEntry} as task_id,
          e.entity_type, e.entity_id, e.action, e.actor, e.detail
        from audit_logs e
        where (e.xid, e.seq) > (${given("xid")}::xid8, ${given("seq")}::bigint) and e.xid < ${horizon}
        order by e.xid, e.seq limit ${sql.raw(String(BATCH))}
      ) as f
    ), '[]') as found`,
);

/**
 * Reads the events behind `after`, 500 at most. It reads only those below `horizon`, since no later one can come in front of them. The new position
 * is that of the last event read, not the highest finished transaction: after a crash, PostgreSQL may use that number again.
 */
export async function readEvents(db: Db, after: Position): Promise<EventBatch> {
  const [read] = await READ(db, { xid: String(after.xid), seq: String(after.seq) });
  if (!read) throw new Error("The events were not read.");
  const timeline = timelineOf(read.timeline);
  if (timeline !== after.timeline) {
    const { now } = await enterEvents(db);
    return unknown(after, now);
  }
  const events = read.found.map(({ xid, seq, ...event }) => {
    const at = { timeline, xid, seq };
    return { at, event: { id: positionText(at), ...event } };
  });
  return { from: after, events, until: events.at(-1)?.at ?? after, isWhole: events.length < BATCH, isKnown: true };
}

const unknown = (from: Position, now: Position): EventBatch => ({
  from,
  events: [],
  until: now,
  isWhole: true,
  isKnown: false,
});

/**
 * As `readEvents`, for a position that may be of long ago: entries behind it may be removed until they are read (`AUDIT_RETENTION_DAYS`). Whether
 * `after` is still known is asked after the reading. The oldest entries are removed first: if `after` is known then, nothing behind it had been
 * removed when it was read.
 */
export async function readOldEvents(db: Db, after: Position): Promise<EventBatch> {
  const batch = await readEvents(db, after);
  if (!batch.isKnown) return batch;
  const { now, isKnown } = await enterEvents(db, after);
  return isKnown ? batch : unknown(after, now);
}

const ENTER = statement<
  { timeline: string | null; newest: EntryPosition | null; is_known: boolean },
  { xid: string; seq: string }
>(
  "enter_events",
  sql`select ${timelineNow} as timeline, (
      select json_build_object('xid', e.xid::text::bigint, 'seq', e.seq) from audit_logs e where e.xid < ${horizon} order by e.xid desc, e.seq desc limit 1
    ) as newest, ${given("xid")}::xid8 <= pg_snapshot_xmax(pg_current_snapshot())
      and (exists (select from audit_logs where (xid, seq) <= (${given("xid")}::xid8, ${given("seq")}::bigint)) or (
        (${given("xid")}, ${given("seq")}) = ('0', '0') and not exists (select from runtime_retention where audit_entries_removed > 0)
      )) as is_known`,
);

/**
 * The position from which on nothing was told yet, and whether everything behind `after` is still there. `isKnown` is false where the entries up to
 * `after` were removed, since later ones may have gone with them, and where `after` is of another timeline or database. The position 0.0 is that of
 * an empty audit, before all entries; it is known until the first is removed.
 */
export async function enterEvents(
  db: Db,
  after: Position = { timeline: UNKNOWN_TIMELINE, xid: 0, seq: 0 },
): Promise<{ now: Position; isKnown: boolean }> {
  const [found] = await ENTER(db, { xid: String(after.xid), seq: String(after.seq) });
  if (!found) throw new Error("The position of the events was not read.");
  const timeline = timelineOf(found.timeline);
  const { xid, seq } = found.newest ?? { xid: 0, seq: 0 };
  return { now: { timeline, xid, seq }, isKnown: found.is_known && timeline === after.timeline };
}
