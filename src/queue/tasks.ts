import { isDeepStrictEqual } from "node:util";
import { desc, eq, isNotNull, sql } from "drizzle-orm";
import type { CreateTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import { llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict, NotFound } from "../errors.ts";

const taskNotFound = () => new NotFound("Task not found");
/** Nothing that is to wait for a later time. */
export const isDue = sql`coalesce(${llmTasks.not_before} <= ${nowMs}, true)`;

const newestFirst = [desc(llmTasks.created_at), desc(llmTasks.id)];

export interface Creation {
  task: Task;
  /** False when the same request had made it before. */
  isNew: boolean;
}

/**
 * Puts a new task into the queue. The same request under the same `idempotencyKey` again, also at the same moment, gives the task that
 * it made first (lifecycle.md, invariant 9). Conflict: the key was used for another request.
 */
export function createTask(db: Db, request: CreateTask, idempotencyKey: string | null = null): Promise<Creation> {
  return inTransaction(db, async (tx) => {
    const [task] = await tx
      .insert(llmTasks)
      .values({
        ...request,
        id: newId(),
        status: "queued",
        attempts: 0,
        created_at: nowMs,
        updated_at: nowMs,
        idempotency_key: idempotencyKey,
      })
      // Waits for a transaction that is just inserting the same key.
      .onConflictDoNothing({ target: llmTasks.idempotency_key, where: isNotNull(llmTasks.idempotency_key) })
      .returning();
    if (!task) return { task: await findCreated(tx, request, idempotencyKey), isNew: false };
    await audit(tx, {
      action: "task_created",
      entity_type: "llm_task",
      entity_id: task.id,
      actor: "api",
      detail: `Task for agent ${task.agent_slug}, context ${task.context_id}`,
    });
    return { task, isNew: true };
  });
}

/** What was requested stays on the task as it was, so that the task itself tells whether the requests are the same. */
async function findCreated(tx: Db, request: CreateTask, idempotencyKey: string | null): Promise<Task> {
  const [task] = await tx
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

/** The task; NotFound when there is none, also for an id that is no UUID. */
export async function getTask(db: Db, id: string): Promise<Task> {
  if (!isUuid(id)) throw taskNotFound();
  const [task] = await db.select().from(llmTasks).where(eq(llmTasks.id, id));
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
export function listTasks(db: Db, status?: Task["status"]): Promise<Task[]> {
  return db
    .select()
    .from(llmTasks)
    .where(status && eq(llmTasks.status, status))
    .orderBy(...newestFirst);
}

/** The `limit` newest tasks. */
export function newestTasks(db: Db, limit: number): Promise<Task[]> {
  return db
    .select()
    .from(llmTasks)
    .orderBy(...newestFirst)
    .limit(limit);
}
