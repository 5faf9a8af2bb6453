import { desc, eq } from "drizzle-orm";
import type { CreateTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import { llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { NotFound } from "../errors.ts";

const taskNotFound = () => new NotFound("Task not found");
const newestFirst = [desc(llmTasks.created_at), desc(llmTasks.id)];

/** Puts a new task into the queue. */
export function createTask(db: Db, request: CreateTask): Promise<Task> {
  return inTransaction(db, async (tx) => {
    const [task] = await tx
      .insert(llmTasks)
      .values({ ...request, id: newId(), status: "queued", attempts: 0, created_at: nowMs, updated_at: nowMs })
      .returning();
    if (!task) throw new Error("The insert of a task returned no row.");
    await audit(tx, {
      action: "task_created",
      entity_type: "llm_task",
      entity_id: task.id,
      actor: "api",
      detail: `Task for agent ${task.agent_slug}, context ${task.context_id}`,
    });
    return task;
  });
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
