import { and, eq, inArray } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Artifact, Result, Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { leases, llmResults, llmTasks, runtimeArtifacts } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { seen } from "../fleet/evidence.ts";
import type { ArtifactStore, StoredOutput } from "../storage/artifact-store.ts";
import { getTask, lockTask } from "./tasks.ts";

export interface Completion {
  task: Task;
  artifact: Artifact;
  result: Result;
}

/** NotFound: no such task. Conflict: nobody holds it, so there is nothing to complete. */
export async function requireHeld(db: Db, taskId: string): Promise<Task> {
  return held(await getTask(db, taskId));
}

/**
 * Takes the result of `task`, which `requireHeld` gave. The output goes to `store` before the transaction and never inside it: the upload may be slow, and a
 * failed one only means that the text stays in PostgreSQL. Refusals as for `requireHeld`.
 */
export async function completeTask(
  db: Db,
  store: ArtifactStore,
  task: Task,
  request: CompleteTask,
): Promise<Completion> {
  const artifactId = newId();
  const stored = await store.put({ taskId: task.id, artifactId, format: task.desired_format, output: request.output });
  try {
    return await recordCompletion(db, task.id, artifactId, stored, request);
  } catch (error) {
    await store.discard(stored);
    throw error;
  }
}

/** One transition: leased or running -> completed or failed; artifact, result, release and audit land with it (invariant 3). */
function recordCompletion(
  db: Db,
  taskId: string,
  artifactId: string,
  stored: StoredOutput,
  request: CompleteTask,
): Promise<Completion> {
  return inTransaction(db, async (tx) => {
    const { lease_id, worker_id } = held(await lockTask(tx, taskId));
    if (!lease_id || !worker_id) throw new Error(`Task ${taskId} is held without a lease or a worker.`);
    await seen(tx, worker_id, `completion of task ${taskId}`);
    const released = await tx
      .update(leases)
      .set({ status: "released" })
      .where(and(eq(leases.id, lease_id), eq(leases.status, "active")))
      .returning({ id: leases.id });
    if (released.length === 0) throw new Conflict("The lease of this task is no longer active");

    const [artifact] = await tx
      .insert(runtimeArtifacts)
      .values({
        id: artifactId,
        task_id: taskId,
        type: request.artifact_type,
        created_at: nowMs,
        finalized: true,
        tags: request.artifact_tags,
        ...stored,
      })
      .returning();
    const [result] = await tx
      .insert(llmResults)
      .values({
        id: newId(),
        task_id: taskId,
        worker_id,
        artifact_id: artifactId,
        status: request.status,
        error_message: request.error_message,
        metrics: request.metrics,
        completed_at: nowMs,
      })
      .returning();
    const [task] = await tx
      .update(llmTasks)
      .set({ status: request.status === "success" ? "completed" : "failed", updated_at: nowMs })
      .where(and(eq(llmTasks.id, taskId), inArray(llmTasks.status, ["leased", "running"])))
      .returning();
    if (!task || !artifact || !result) throw new Error(`The completion of task ${taskId} returned no row.`);
    await audit(tx, {
      action: "task_completed",
      entity_type: "llm_task",
      entity_id: taskId,
      actor: worker_id,
      detail: `Status: ${request.status}, artifact: ${artifactId}, duration: ${request.metrics.duration_ms}ms`,
    });
    return { task, artifact, result: { ...result, output: request.output } };
  });
}

function held(task: Task): Task {
  if (task.status === "leased" || task.status === "running") return task;
  throw new Conflict(`Task status is '${task.status}', expected 'leased' or 'running'`);
}
