import { isDeepStrictEqual } from "node:util";
import { eq, getTableColumns, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { CreateTask } from "../contract/create-task.ts";
import { TASK_FIELDS, type Task } from "../contract/views.ts";
import { actorOf, insertAudit } from "../db/audit.ts";
import type { Db, Value } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf } from "../db/columns.ts";
import { newId } from "../db/ids.ts";
import { llmTasks } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
import { Conflict } from "../errors.ts";
import { tellQueueNews } from "./queue-news.ts";
import { taskColumns } from "./tasks.ts";

export interface Creation {
  task: Task;
  /** False when the same request has created the task before. */
  isNew: boolean;
}

type NewTask = Record<string, Value> & {
  id: string;
  key: string | null;
  entryId: string;
  actor: string;
  detail: string;
  size_bytes: number;
};
const given = (name: string) => sql.placeholder(name);

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
  queue_until: true,
  progress: true,
  cancel_requested: true,
  last_error: true,
  error_kind: true,
  tried_by: true,
  elsewhere_until: true,
  usage: true,
  size_bytes: true,
} satisfies Record<keyof Stored, true>;
const stored = columnsOf(Object.keys(STORED));
/** The fields of a task that its request has. */
const requested = TASK_FIELDS.filter((name) => !(name in STORED));
const isJson = (name: string) => getTableColumns(llmTasks)[name as keyof Task]?.dataType === "json";
const JSON_FIELDS: ReadonlySet<string> = new Set(requested.filter(isJson));

/** The request as the INSERT takes it: lists and objects as the text of JSON. */
function valuesOf(request: CreateTask): Record<string, Value> {
  const values: Record<string, Value> = {};
  for (const [name, value] of Object.entries<unknown>(request))
    values[name] = value !== null && JSON_FIELDS.has(name) ? JSON.stringify(value) : (value as Value);
  return values;
}

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
      insert into llm_tasks (${columnsOf(requested)}, id, size_bytes, idempotency_key, queue_until, status, attempts, created_at, updated_at)
      values (${sql.join(requested.map(given), sql`, `)}, ${given("id")}, ${given("size_bytes")}, ${given("key")},
        greatest(${nowMs}, ${given("not_before")}::bigint) + ${given("queue_ttl_sec")}::bigint * 1000, 'queued', 0, ${nowMs}, ${nowMs})
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
 * first one created (lifecycle.md, invariant 9). The audit names the task `replayOf`, whose request it repeats. Conflict: the key was used for another request.
 */
export async function createTask(
  db: Db,
  caller: Caller | undefined,
  request: CreateTask,
  idempotencyKey: string | null = null,
  replayOf?: string,
): Promise<Creation> {
  const id = newId();
  const size_bytes = Buffer.byteLength(JSON.stringify(request));
  const [created] = await CREATE(db, {
    ...valuesOf(request),
    size_bytes,
    id,
    key: idempotencyKey,
    entryId: newId(),
    actor: actorOf(caller, "api"),
    detail: `Task for agent ${request.agent_slug}, context ${request.context_id}${replayOf === undefined ? "" : `, again as task ${replayOf}`}`,
  });
  if (created) {
    tellQueueNews(db);
    db.onCommit(() => db.meters.tasksCreated.add(1));
    // The request is not read back, since a prompt may be long: `statement` refuses a field that is not among TASK_FIELDS.
    return { task: { ...request, ...created }, isNew: true };
  }
  return { task: await findCreated(db, request, idempotencyKey), isNew: false };
}

/** The task that was created under the key. Its fields stay as they were requested, so that they tell whether this request is the same. */
async function findCreated(db: Db, request: CreateTask, idempotencyKey: string | null): Promise<Task> {
  const [task] = await db
    .select(taskColumns)
    .from(llmTasks)
    .where(eq(llmTasks.idempotency_key, idempotencyKey ?? ""));
  if (!task) throw new Error("The insert of a task returned no row.");
  // The request is compared as JSON, as it was stored: -0, for instance, is stored as 0.
  const wanted: object = JSON.parse(JSON.stringify(request));
  if (!isDeepStrictEqual({ ...task, ...wanted }, task))
    throw new Conflict("This Idempotency-Key was used for another request. Use a new key for a new task.");
  return task;
}
