import { sql } from "drizzle-orm";
import { type EntryInSql, insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/task-tables.ts";
import { isConcurrencyKeyFree } from "./concurrency-key.ts";

/** How many of the oldest tasks are looked at. All of them may wait for their concurrency key, which is no stall. */
const LOOKED_AT = 1_000;

/**
 * Tells of a stall, once: the task that is due for longest has been so for `afterSeconds`, and has been the oldest for as long. In a queue
 * that moves, however long it is, the oldest task is soon another one. All instances may look at once: what they know is in the database.
 * Gives 1 when it told of a stall, else 0.
 */
export async function tellQueueStall(db: Db, afterSeconds: number): Promise<number> {
  if (afterSeconds === 0) return 0;
  const entry: EntryInSql = {
    id: sql`${newId()}::uuid`,
    timestamp: nowMs,
    action: "queue_stalled",
    entity_type: sql`'llm_task'`,
    entity_id: sql`task_id`,
    actor: sql`'runtime'`,
    detail: sql`'Nobody has taken it for ' || ((${nowMs} - due_since) / 1000) || ' s, though it is due'`,
  };
  const { rows } = await db.execute<{ told: number }>(sql`
    with first as (
      select * from ${llmTasks} where ${llmTasks.status} = 'queued' and ${takeableFrom(llmTasks)} <= ${nowMs}
      order by ${takeableFrom(llmTasks)} limit ${LOOKED_AT}
    ), oldest as (
      select id, ${takeableFrom(llmTasks)} as due_since from first as llm_tasks where ${isConcurrencyKeyFree}
      order by 2, 1 limit 1
    ), known as (
      select task_id, since, is_told from runtime_queue_head for update skip locked
    ), moved as (
      insert into runtime_queue_head (name, task_id, since, is_told) select 'oldest', id, ${nowMs}, false from oldest
      where not exists (select from runtime_queue_head) or exists (select from known where known.task_id <> oldest.id)
      on conflict (name) do update set task_id = excluded.task_id, since = excluded.since, is_told = false
        where runtime_queue_head.task_id <> excluded.task_id
    ), stalled as (
      update runtime_queue_head h set is_told = true from known, oldest
      where h.task_id = known.task_id and known.task_id = oldest.id and not h.is_told
        and ${nowMs} - greatest(h.since, due_since) >= ${afterSeconds * 1_000}::bigint
      returning h.task_id, due_since
    ), entry as (
      ${insertAudit(entry, sql`stalled`)}
    )
    select count(*)::int as told from stalled`);
  return rows[0]?.told ?? 0;
}
