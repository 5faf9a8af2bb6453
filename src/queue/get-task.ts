import { and, eq, type SQL, sql } from "drizzle-orm";
import { TASK_FIELDS, type Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf, pickColumns } from "../db/column-lists.ts";
import { isUuid } from "../db/ids.ts";
import { mostBytesInJson, SHORT_FIELDS_BYTES } from "../db/list-source.ts";
import { statement } from "../db/statement.ts";
import { llmTasks } from "../db/task-tables.ts";
import { NotFound } from "../errors.ts";

/** The columns of a task that answers show. */
export const taskColumns = pickColumns(llmTasks, TASK_FIELDS);

const taskNotFound = () => new NotFound("Task not found");
/** True in SQL for a task that need not wait for a later time: its `not_before` and the delay before its retry are over. */
export const isDue = sql`coalesce(greatest(${llmTasks.not_before}, ${llmTasks.retry_at}) <= ${nowMs}, true)`;
/** When the task may be leased, in epoch milliseconds; 0 means at once. */
export const dueAt = ({ not_before, retry_at }: Task) => Math.max(not_before ?? 0, retry_at ?? 0);

/** The worker that a task is kept to without `allow_fallback`, when somebody queues it again; null where any may have it. */
export const keptTo = sql`case when not ${llmTasks.allow_fallback} then coalesce(${llmTasks.tried_by}, ${llmTasks.worker_id}) end`;

/** About how many bytes a task's record takes as JSON. Its long texts are not read for that. */
export const taskBytes = sql`(coalesce(${llmTasks.size_bytes}, ${mostBytesInJson(llmTasks.prompt)} + octet_length(${llmTasks.context_hints}::text)) + ${SHORT_FIELDS_BYTES})`;

const FIND = statement<Task, { id: string }>(
  "task",
  sql`select ${columnsOf(TASK_FIELDS)} from llm_tasks where id = ${sql.placeholder("id")}`,
);

/** The task; undefined when there is none, also for an id that is no UUID. */
export async function findTask(db: Db, id: string): Promise<Task | undefined> {
  return isUuid(id) ? (await FIND(db, { id }))[0] : undefined;
}

/** The task. NotFound when there is none, also for an id that is no UUID. */
export async function getTask(db: Db, id: string): Promise<Task> {
  const task = await findTask(db, id);
  if (!task) throw taskNotFound();
  return task;
}

/**
 * The task, locked until the transaction ends. Every transition takes this lock first (lifecycle.md, invariant 4). NotFound: no such task, or it is
 * not as `which` says.
 */
export async function lockTask(tx: Db, id: string, which?: SQL): Promise<Task> {
  if (!isUuid(id)) throw taskNotFound();
  const [task] = await tx
    .select(taskColumns)
    .from(llmTasks)
    .where(and(eq(llmTasks.id, id), which))
    .for("no key update");
  if (!task) throw taskNotFound();
  return task;
}
