import { isDeepStrictEqual } from "node:util";
import { eq, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { CreateTask } from "../contract/create-task.ts";
import type { Task } from "../contract/views.ts";
import { actorOf, insertAudit } from "../db/audit.ts";
import type { Db, Value } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { llmTasks } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
import { Conflict } from "../errors.ts";
import { tellQueueNews } from "./queue-news.ts";

export interface Creation {
  task: Task;
  /** False when the same request has created the task before. */
  isNew: boolean;
}

type NewTask = { [Column in keyof CreateTask]: Value } & {
  id: string;
  key: string | null;
  entryId: string;
  actor: string;
  detail: string;
  size_bytes: number;
};
const given = (name: keyof NewTask) => sql.placeholder(name);

/** The fields that a stored task has beyond its request. */
type Stored = Omit<Task, keyof CreateTask>;
const STORED = {
  id: true,
  status: true,
  created_at: true,
  updated_at: true,
  lease_id: true,
  worker_id: true,
  attempts: true,
  idempotency_key: true,
  retry_at: true,
  progress: true,
  cancel_requested: true,
  last_error: true,
  error_kind: true,
  tried_by: true,
  elsewhere_until: true,
  usage: true,
  size_bytes: true,
} satisfies Record<keyof Stored, true>;
const stored = sql.raw(Object.keys(STORED).join(", "));

const ENTRY = {
  id: sql`${given("entryId")}::uuid`,
  timestamp: sql`created_at`,
  action: sql`'task_created'`,
  entity_type: sql`'llm_task'`,
  entity_id: sql`id`,
  actor: given("actor"),
  detail: given("detail"),
};

const CREATE = statement<Stored, NewTask>(
  "create",
  sql`with task as (
      insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, max_attempts,
        requires, priority, not_before, retry, agent_kind, structured_input, attachments, tracing,
        allow_fallback, output_schema, keep_transcript, limits, resume, size_bytes, idempotency_key, status, attempts, created_at, updated_at)
      values (${given("id")}, ${given("context_id")}, ${given("agent_slug")}, ${given("prompt")}, ${given("context_hints")},
        ${given("policy")}, ${given("desired_format")}, ${given("max_attempts")}, ${given("requires")}, ${given("priority")}, ${given("not_before")},
        ${given("retry")}, ${given("agent_kind")}, ${given("structured_input")}, ${given("attachments")}, ${given("tracing")},
        ${given("allow_fallback")}, ${given("output_schema")}, ${given("keep_transcript")}, ${given("limits")},
        ${given("resume")}, ${given("size_bytes")}, ${given("key")}, 'queued', 0, ${nowMs}, ${nowMs})
      -- This waits for a transaction that is just inserting the same key.
      on conflict (idempotency_key) where idempotency_key is not null do nothing
      returning ${stored}
    ), entry as (
      ${insertAudit(ENTRY, sql`task`)}
    )
    select ${stored} from task`,
);

/**
 * Puts a new task into the queue. The same request again under the same `idempotencyKey`, even at the same moment, gives the task that the
 * first one created (lifecycle.md, invariant 9). Conflict: the key was used for another request.
 */
export async function createTask(
  db: Db,
  caller: Caller | undefined,
  request: CreateTask,
  idempotencyKey: string | null = null,
): Promise<Creation> {
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
    output_schema: request.output_schema && JSON.stringify(request.output_schema),
    limits: request.limits && JSON.stringify(request.limits),
    size_bytes,
    id,
    key: idempotencyKey,
    entryId: newId(),
    actor: actorOf(caller, "api"),
    detail: `Task for agent ${request.agent_slug}, context ${request.context_id}`,
  });
  if (created) {
    tellQueueNews(db);
    // The request is not read back, since a prompt may be long: `statement` refuses a field that the INSERT leaves out.
    return { task: { ...request, ...created }, isNew: true };
  }
  return { task: await findCreated(db, request, idempotencyKey), isNew: false };
}

/** The task that was created under the key. Its fields stay as they were requested, so that they tell whether this request is the same. */
async function findCreated(db: Db, request: CreateTask, idempotencyKey: string | null): Promise<Task> {
  const [task] = await db
    .select()
    .from(llmTasks)
    .where(eq(llmTasks.idempotency_key, idempotencyKey ?? ""));
  if (!task) throw new Error("The insert of a task returned no row.");
  // The request is compared as JSON, as it was stored: -0, for instance, is stored as 0.
  const wanted: object = JSON.parse(JSON.stringify(request));
  if (!isDeepStrictEqual({ ...task, ...wanted }, task))
    throw new Conflict("This Idempotency-Key was used for another request. Use a new key for a new task.");
  return task;
}
