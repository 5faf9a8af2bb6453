/** The statement that creates tasks, for one and for a batch. */
import { sql } from "drizzle-orm";
import type { CreateTask } from "../contract/create-task.ts";
import { REQUESTED_COLUMNS } from "../contract/creation-fields.ts";
import type { Task } from "../contract/record-types.ts";
import { type EntryInSql, insertAudit } from "../db/audit.ts";
import { batchStatement, type Locks } from "../db/batch-statement.ts";
import { batcher } from "../db/batcher.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf, typesOf } from "../db/column-lists.ts";
import { llmTasks } from "../db/task-tables.ts";

/** What the database says of a new task; all else of it is known beforehand. */
export type CreatedRow = Pick<Task, "created_at" | "queue_until">;
export type NewTask = CreateTask & {
  id: string;
  size_bytes: number;
  key: string | null;
  traceparent: string | null;
  entry_id: string;
  actor: string;
  detail: string;
};
const requested = columnsOf(REQUESTED_COLUMNS);

const ENTRY: EntryInSql = {
  id: sql`entry_id`,
  timestamp: nowMs,
  action: "task_created",
  entity_type: sql`'llm_task'`,
  entity_id: sql`id`,
  actor: sql`actor`,
  detail: sql`detail`,
};
/** The time when the task may not wait any longer; null where it may wait for ever. */
const queueUntil = sql`greatest(${nowMs}, not_before) + queue_ttl_sec * 1000::bigint`;
/** A row of `request` whose task was created. */
const isNew = sql`(key is null or id in (select id from task))`;

/**
 * Two creations with the same key at the same moment: the second waits for this lock, or passes over the request where it may not wait. The index
 * alone would make it wait with its whole batch.
 */
const idempotencyLock = (locks: Locks) => {
  const lock = sql`hashtextextended(key, 1)`;
  return locks === "waits" ? sql`pg_advisory_xact_lock(${lock})::text = ''` : sql`pg_try_advisory_xact_lock(${lock})`;
};

/** Creates tasks, those of one moment in one statement. */
export const creations = batcher(
  batchStatement<CreatedRow, NewTask>(
    "create",
    {
      ...typesOf(llmTasks, REQUESTED_COLUMNS),
      id: "uuid",
      size_bytes: "integer",
      key: "text",
      traceparent: "text",
      entry_id: "uuid",
      actor: "text",
      detail: "text",
    },
    (locks) => sql`task as (
      insert into llm_tasks (${requested}, id, size_bytes, idempotency_key, traceparent, queue_until, status, attempts, created_at, updated_at)
      select ${requested}, id, size_bytes, key, traceparent, ${queueUntil}, 'queued', 0, ${nowMs}, ${nowMs}
      from request where key is null or ${idempotencyLock(locks)}
      -- Of two with the same key, the first makes the task.
      order by ordinal
      on conflict (idempotency_key) where idempotency_key is not null do nothing
      returning id
    ), entry as (
      ${insertAudit(ENTRY, sql`request where ${isNew}`)}
    )
    select ordinal, ${nowMs} as created_at, ${queueUntil} as queue_until from request where ${isNew}`,
  ),
  ({ size_bytes }) => size_bytes,
);
