import { isDeepStrictEqual } from "node:util";
import { eq } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { CreateTask } from "../contract/create-task.ts";
import type { Task } from "../contract/record-types.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { llmTasks } from "../db/task-tables.ts";
import { Conflict, Unavailable } from "../errors.ts";
import { traceparentFrom } from "../tracing/trace-context.ts";
import { type CreatedRow, creations, type NewTask } from "./create-statement.ts";
import { taskColumns } from "./get-task.ts";
import { tellQueueNews } from "./queue-news.ts";
import { jsonBytesOf } from "./request-bytes.ts";

export interface Creation {
  task: Task;
  /** False when the same request has created the task before. */
  isNew: boolean;
}

/**
 * The fields that a new task has beyond its request, as they are while the task is new. The database says when it was created, and
 * `queue_until`.
 */
const FRESH = {
  status: "queued",
  lease_id: null,
  worker_id: null,
  attempts: 0,
  retry_at: null,
  progress: null,
  cancel_requested: false,
  last_error: null,
  error_kind: null,
  tried_by: null,
  elsewhere_until: null,
  usage: null,
} as const satisfies Partial<Task>;

/**
 * Puts a new task into the queue. The same request again under the same `idempotencyKey`, even at the same moment, gives the task that the
 * first one created (lifecycle.md, invariant 9). The audit names the task `replayOf`, whose request it repeats. Conflict: the key was used
 * for another request.
 */
export async function createTask(
  db: Db,
  caller: Caller | undefined,
  request: CreateTask,
  idempotencyKey: string | null = null,
  replayOf?: string,
): Promise<Creation> {
  const task = newTask(caller, request, idempotencyKey, replayOf);
  return await finishCreation(db, request, task, await creations.send(db, task));
}

/** The task that the request makes, under a new id. */
export function newTask(
  caller: Caller | undefined,
  request: CreateTask,
  key: string | null,
  replayOf?: string,
): NewTask {
  const again = replayOf === undefined ? "" : `, again as task ${replayOf}`;
  // The task's own fields stand first: Node.js 20 makes an object that begins with the spread of a large one in 20 µs, and this one in 1 µs.
  return {
    id: newId(),
    size_bytes: jsonBytesOf(request),
    key,
    traceparent: traceparentFrom(request.tracing) ?? caller?.traceparent ?? null,
    entry_id: newId(),
    actor: actorOf(caller, "api"),
    detail: `Task for agent ${request.agent_slug}, context ${request.context_id}${again}`,
    ...request,
  };
}

/** How often a creation is sent at most. The key's task may be removed (retention/) between the insert that met it and the look at it. */
const MOST_SENT = 3;

/**
 * Tells of the new task, or finds the task that was created before under the same key. `row` is what the statement gave for the task, and undefined
 * when the key was taken; where its task is gone by now, the creation is sent again. Conflict: another request had taken the key. Unavailable: each
 * time, the key was taken and its task was gone.
 */
export async function finishCreation(
  db: Db,
  request: CreateTask,
  made: NewTask,
  row: CreatedRow | undefined,
): Promise<Creation> {
  let created = row;
  for (let sent = 1; !created; sent++) {
    const task = await findCreated(db, request, made.key);
    if (task) return { task, isNew: false };
    if (sent === MOST_SENT) throw new Unavailable("The task of this Idempotency-Key was just removed; try again.");
    created = await creations.send(db, made);
  }
  tellQueueNews(db);
  db.onCommit(() => db.meters.tasksCreated.add(1));
  const { id, size_bytes, key, traceparent } = made;
  const { created_at, queue_until } = created;
  // These are the values that were stored. They are not read back, since a prompt may be long.
  const task: Task = {
    id,
    size_bytes,
    idempotency_key: key,
    traceparent,
    created_at,
    updated_at: created_at,
    queue_until,
    ...FRESH,
    ...request,
  };
  return { task, isNew: true };
}

/** The task that was created under the key, if it is still there. Requested fields never change, so comparing them shows a repeat. */
async function findCreated(db: Db, request: CreateTask, idempotencyKey: string | null): Promise<Task | undefined> {
  const [task] = await db
    .select(taskColumns)
    .from(llmTasks)
    .where(eq(llmTasks.idempotency_key, idempotencyKey ?? ""));
  if (!task) return undefined;
  // The request is compared as JSON, as it was stored: -0, for instance, is stored as 0.
  const wanted: object = JSON.parse(JSON.stringify(request));
  if (!isDeepStrictEqual({ ...task, ...wanted }, task))
    throw new Conflict("This Idempotency-Key was used for another request. Use a new key for a new task.");
  return task;
}
