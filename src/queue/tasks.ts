import { isDeepStrictEqual } from "node:util";
import { eq, sql } from "drizzle-orm";
import type { CreateTask } from "../contract/create-task.ts";
import type { Task } from "../contract/views.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import { type Source, wholeRow } from "../db/pages.ts";
import { llmTasks } from "../db/schema.ts";
import { columnsOf, statement } from "../db/statement.ts";
import { Conflict, NotFound } from "../errors.ts";
import { tellQueueNews } from "./news.ts";

const taskNotFound = () => new NotFound("Task not found");
/** Nothing that is to wait for a later time. */
export const isDue = sql`coalesce(greatest(${llmTasks.not_before}, ${llmTasks.retry_at}) <= ${nowMs}, true)`;
/** When it may be leased, in epoch milliseconds; 0 is at once. */
export const dueAt = ({ not_before, retry_at }: Task) => Math.max(not_before ?? 0, retry_at ?? 0);

/** About how many bytes a task's record takes as JSON, without reading its long texts. */
export const taskBytes = sql`(coalesce(${llmTasks.size_bytes}, octet_length(${llmTasks.prompt}) + octet_length(${llmTasks.context_hints}::text)) + 700)`;

export interface Creation {
  task: Task;
  /** False when the same request had made it before. */
  isNew: boolean;
}

type NewTask = { [Column in keyof CreateTask]: string | number | null } & {
  id: string;
  key: string | null;
  entryId: string;
  actor: string;
  detail: string;
  size_bytes: number;
};
const given = (name: keyof NewTask) => sql.placeholder(name);

const CREATE = statement<{ created_at: number }, NewTask>(
  "create",
  sql`with task as (
      insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, max_attempts,
        requires, not_before, retry, agent_kind, structured_input, attachments, tracing, size_bytes, idempotency_key, status, attempts, created_at, updated_at)
      values (${given("id")}, ${given("context_id")}, ${given("agent_slug")}, ${given("prompt")}, ${given("context_hints")},
        ${given("policy")}, ${given("desired_format")}, ${given("max_attempts")}, ${given("requires")}, ${given("not_before")},
        ${given("retry")}, ${given("agent_kind")}, ${given("structured_input")}, ${given("attachments")}, ${given("tracing")},
        ${given("size_bytes")}, ${given("key")}, 'queued', 0, ${nowMs}, ${nowMs})
      -- Waits for a transaction that is just inserting the same key.
      on conflict (idempotency_key) where idempotency_key is not null do nothing
      returning id, created_at
    ), entry as (
      insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select ${given("entryId")}::uuid, created_at, 'task_created', 'llm_task', id, ${given("actor")}, ${given("detail")} from task
    )
    select created_at from task`,
);

/**
 * Puts a new task into the queue. The same request under the same `idempotencyKey` again, also at the same moment, gives the task that
 * it made first (lifecycle.md, invariant 9). Conflict: the key was used for another request.
 */
export async function createTask(db: Db, request: CreateTask, idempotencyKey: string | null = null): Promise<Creation> {
  const id = newId();
  const size_bytes = Buffer.byteLength(JSON.stringify(request));
  const [created] = await CREATE(db, {
    ...request,
    context_hints: JSON.stringify(request.context_hints),
    policy: JSON.stringify(request.policy),
    requires: JSON.stringify(request.requires),
    retry: request.retry && JSON.stringify(request.retry),
    structured_input: request.structured_input === null ? null : JSON.stringify(request.structured_input),
    attachments: JSON.stringify(request.attachments),
    tracing: request.tracing && JSON.stringify(request.tracing),
    size_bytes,
    id,
    key: idempotencyKey,
    entryId: newId(),
    actor: actorOf(db, "api"),
    detail: `Task for agent ${request.agent_slug}, context ${request.context_id}`,
  });
  if (created) {
    tellQueueNews(db);
    const { created_at } = created;
    // As it was stored: most of it is what came in, and reading it back takes a tenth of the call.
    const task: Task = {
      ...request,
      id,
      status: "queued",
      created_at,
      updated_at: created_at,
      lease_id: null,
      worker_id: null,
      attempts: 0,
      idempotency_key: idempotencyKey,
      retry_at: null,
      progress: null,
      cancel_requested: false,
      last_error: null,
      size_bytes,
    };
    return { task, isNew: true };
  }
  return { task: await findCreated(db, request, idempotencyKey), isNew: false };
}

/** What was requested stays on the task as it was, so that the task itself tells whether the requests are the same. */
async function findCreated(db: Db, request: CreateTask, idempotencyKey: string | null): Promise<Task> {
  const [task] = await db
    .select()
    .from(llmTasks)
    .where(eq(llmTasks.idempotency_key, idempotencyKey ?? ""));
  if (!task) throw new Error("The insert of a task returned no row.");
  // As JSON has it: -0 is stored as 0.
  const wanted: object = JSON.parse(JSON.stringify(request));
  if (!isDeepStrictEqual({ ...task, ...wanted }, task))
    throw new Conflict("This Idempotency-Key was used for another request. Use a new key for a new task.");
  return task;
}

const FIND = statement<Task, { id: string }>(
  "task",
  sql`select ${columnsOf(llmTasks)} from llm_tasks where id = ${sql.placeholder("id")}`,
);

/** The task; undefined when there is none, also for an id that is no UUID. */
export async function findTask(db: Db, id: string): Promise<Task | undefined> {
  return isUuid(id) ? (await FIND(db, { id }))[0] : undefined;
}

/** The same; NotFound when there is none. */
export async function getTask(db: Db, id: string): Promise<Task> {
  const task = await findTask(db, id);
  if (!task) throw taskNotFound();
  return task;
}

/**
 * The task, locked until the transaction ends: the first lock of every transition (lifecycle.md, invariant 4: task, worker, lease).
 * Undefined when there is none.
 */
export async function findLocked(tx: Db, id: string): Promise<Task | undefined> {
  if (!isUuid(id)) return undefined;
  const [task] = await tx.select().from(llmTasks).where(eq(llmTasks.id, id)).for("no key update");
  return task;
}

/** The same; NotFound when there is none. */
export async function lockTask(tx: Db, id: string): Promise<Task> {
  const task = await findLocked(tx, id);
  if (!task) throw taskNotFound();
  return task;
}

/** All tasks, or those in `status`, newest first. */
export function tasks(status?: Task["status"]): Source {
  return {
    table: llmTasks,
    id: llmTasks.id,
    time: llmTasks.created_at,
    only: status && { column: llmTasks.status, value: status },
    record: wholeRow(llmTasks),
    weight: taskBytes,
    order: "newest first",
  };
}
