import { sql } from "drizzle-orm";
import { type EntryInSql, insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { tellQueueNews } from "./queue-news.ts";

/** How many tasks one statement handles: few enough that nobody waits long for a lock. */
const BATCH = 200;

/**
 * The transition queued -> dead of every task that was never started within its `queue_ttl_sec`; gives their number. A task that somebody has
 * locked, as a claim that is just taking it, is left for the next pass.
 */
export async function expireQueued(db: Db): Promise<number> {
  let total = 0;
  for (;;) {
    const count = await expireBatch(db);
    total += count;
    if (count < BATCH) return total;
  }
}

async function expireBatch(db: Db): Promise<number> {
  const entry: EntryInSql = {
    id: sql`(${sql.param(Array.from({ length: BATCH }, newId))}::uuid[])[row_number() over ()]`,
    timestamp: nowMs,
    action: "task_dead",
    entity_type: sql`'llm_task'`,
    entity_id: sql`id`,
    actor: sql`'runtime'`,
    detail: sql`last_error`,
  };
  const { rows } = await db.execute<{ count: number }>(sql`
    with late as (
      select id from llm_tasks
      where status = 'queued' and queue_until is not null and attempts = 0 and tried_by is null and queue_until <= ${nowMs}
      order by queue_until limit ${BATCH} for no key update skip locked
    ), ended as (
      update llm_tasks t set status = 'dead', updated_at = ${nowMs}, error_kind = null,
        last_error = 'No worker started it within the ' || t.queue_ttl_sec || ' s of its queue_ttl_sec.'
      from late where t.id = late.id and (t.status = 'queued') is true
      returning t.id, t.last_error
    ), entries as (
      ${insertAudit(entry, sql`ended`)}
    )
    select count(*)::int as count from ended`);
  const count = rows[0]?.count ?? 0;
  if (count > 0) tellQueueNews(db);
  db.onCommit(() => db.meters.tasksDead.add(count, { cause: "never started" }));
  return count;
}
