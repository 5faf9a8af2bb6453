import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { statement } from "../db/statement.ts";
import { ENDED_STATUSES } from "../db/statuses.ts";
import { horizon, taskOfEntry } from "../events/read-events.ts";
import { eventType } from "../events/type-of-entry.ts";
import { RETRY_MS } from "./delivery-times.ts";

/** How many audit entries one statement reads. */
const BATCH = 500;
/**
 * While there is no webhook and no callback, the position is moved only when it is this number of transactions behind, so that an idle service
 * writes nothing.
 */
const MOST_BEHIND = 10_000;

const raw = (value: number) => sql.raw(String(value));
const isUsed = sql`(exists (select from runtime_webhooks where off_since is null)
  or exists (select from llm_tasks where callback_url is not null))`;
/** The events that a task's `callback_url` is told of. */
const ENDS = sql.raw(ENDED_STATUSES.map((status) => `'task.${status}'`).join(", "));

/** In SQL, whether the webhook `h` is told of the event `e`. */
const isWanted = sql`h.off_since is null and e.seq > h.from_seq and exists (
    select from jsonb_array_elements_text(h.events) as pattern
    where e.type = pattern or (right(pattern, 2) = '.*' and starts_with(e.type, left(pattern, -1))))`;

/**
 * In SQL, the target of the callback of the task `t`, by which it is bounded and rests: its host. An address may also be written as
 * "http:host" or begin with a space; then all of it counts. It is never null nor too long for an index, since one such row would stop the
 * messages of all.
 */
const callbackTarget = sql`'callback ' || left(lower(coalesce(substring(t.callback_url from '^[a-zA-Z]+://([^/?#]+)'), t.callback_url)), 255)`;

// The limit tells PostgreSQL that there is one position. It expected a hundred, and therefore compiled the statement (jit) each second.
const QUEUE = statement<{ is_there: boolean; read: number; queued: number }, Record<never, never>>(
  "queue_deliveries",
  sql`with position as materialized (
      select name, xid, seq from runtime_webhook_position limit 1 for update skip locked
    ), entries as materialized (
      select e.*
      from position cross join lateral (
        select e.id, e.xid, e.seq, ${eventType} as type, e.timestamp, ${taskOfEntry} as task_id, e.entity_type, e.entity_id
        from audit_logs e
        where (e.xid, e.seq) > (position.xid, position.seq) and e.xid < ${horizon} and ${isUsed}
        order by e.xid, e.seq limit ${raw(BATCH)}
      ) as e
    ), wanted as (
      select h.id::text as target, null as url, e.* from entries e join runtime_webhooks h on ${isWanted}
      union all
      select ${callbackTarget}, t.callback_url, e.*
      from entries e join llm_tasks t on t.id = case when e.type in (${ENDS}) then e.task_id::uuid end and t.callback_url is not null
    ), queued as (
      insert into runtime_webhook_deliveries
        (id, target, url, type, entry_id, occurred_at, task_id, entity_type, entity_id, state, attempts, next_at, retry_until, created_at)
      select gen_random_uuid(), target, url, type, id, timestamp, task_id, entity_type, entity_id, 'pending', 0,
        ${nowMs}, ${nowMs} + ${raw(RETRY_MS)}, ${nowMs}
      from wanted
      on conflict (target, entry_id) do nothing
      returning 1
    ), moved as (
      update runtime_webhook_position p set xid = last.xid, seq = last.seq
      from (select xid, seq from entries order by xid desc, seq desc limit 1) as last where p.name = (select name from position)
    ), passed_over as (
      update runtime_webhook_position p
      set xid = ((${horizon}::text::bigint - 1)::text)::xid8, seq = (select coalesce(max(seq), 0) from audit_logs)
      where p.name = (select name from position) and not ${isUsed}
        and ${horizon}::text::bigint - p.xid::text::bigint > ${raw(MOST_BEHIND)}
    )
    select exists (select from position) as is_there, (select count(*)::int from entries) as read, (select count(*)::int from queued) as queued`,
);

/**
 * Reads the audit entries behind the position, and queues a delivery for each webhook that wants the event. One statement does that and moves the
 * position, so that what was committed is queued once, and what was rolled back never. Does nothing while another instance does this.
 * Gives how many deliveries were queued.
 */
export async function queueDeliveries(db: Db): Promise<number> {
  let total = 0;
  for (let isWhole = false; !isWhole; ) {
    const [{ read = 0, queued = 0 } = {}] = await QUEUE(db, {});
    total += queued;
    isWhole = read < BATCH;
  }
  return total;
}

/** Makes the position, before the service takes its first request: what happens from now on is read. */
export async function preparePosition(db: Db): Promise<void> {
  await db.execute(sql`
    insert into runtime_webhook_position (name, xid, seq)
    select 'webhooks', ${horizon}, 0 where not exists (select from runtime_webhook_position)
    on conflict (name) do nothing`);
}

/**
 * True in SQL when webhooks no longer need the audit entry:
 *
 * - it was read for them;
 * - or there is no webhook and no callback: a later one is told of later entries alone;
 * - or the service never ran on this database, so that there is no position.
 */
export const isReadForWebhooks = sql`(not ${isUsed}
  or (xid, seq) <= all (select p.xid, p.seq from runtime_webhook_position p))`;
