import { createHash } from "node:crypto";
import { and, eq, inArray } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import { type Artifact, type Result, resultView, type Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isDatabaseUnavailable } from "../db/faults.ts";
import { newId } from "../db/ids.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { seen } from "../fleet/evidence.ts";
import type { ArtifactStore, StoredOutput } from "../storage/artifact-store.ts";
import { findLease, staleLease } from "./fence.ts";
import { outcomeOf } from "./outcome.ts";
import { getTask, lockTask } from "./tasks.ts";

export interface Completion {
  task: Task;
  artifact: Artifact;
  result: Result;
}

/** What a worker hands in, and the SHA-256 by which it is known when it comes again. */
interface Handover {
  request: CompleteTask;
  bodySha256: string;
}

/** NotFound: no such task. Conflict: nobody holds it, or `leaseId` was never a lease of it, so there is nothing to complete. */
export async function requireCompletable(db: Db, taskId: string, leaseId?: string): Promise<Task> {
  const task = await getTask(db, taskId);
  if (leaseId === undefined) requireHeld(task);
  else if (!(await findLease(db, taskId, leaseId))) throw staleLease(leaseId);
  return task;
}

/**
 * Takes the result of `task`, which `requireCompletable` gave. The same body under the same `lease_id` again gives the same answer and adds
 * nothing (lifecycle.md, invariant 9). The output goes to `store` before the transaction and never inside it: the upload may be slow, and
 * a failed one only means that the text stays in PostgreSQL.
 * Conflict: as before, another body under this lease, or the lease had ended and the task gone on; a success is then kept all the same
 * (invariant 8).
 */
export async function completeTask(
  db: Db,
  store: ArtifactStore,
  task: Task,
  request: CompleteTask,
): Promise<Completion> {
  const handover = { request, bodySha256: hashOf(request) };
  // Looked for here as well, so that a repeated completion uploads nothing.
  const earlier = await findEarlier(db, task, handover);
  if (earlier) return earlier;

  const artifactId = newId();
  const stored = await store.put({ taskId: task.id, artifactId, format: task.desired_format, output: request.output });
  let completion: Completion;
  try {
    completion = await record(db, task.id, handover, artifactId, stored);
  } catch (error) {
    // When the answer to the commit was lost, the row may be there and need it.
    if (!isDatabaseUnavailable(error)) await store.discard(stored);
    throw error;
  }
  if (completion.artifact.id !== artifactId) await store.discard(stored);
  if (!completion.result.accepted) throw tooLate(completion.artifact.id);
  return completion;
}

/** One transition: leased or running -> what `outcomeOf` says; artifact, result, release and audit land with it (invariant 3). */
function record(
  db: Db,
  taskId: string,
  handover: Handover,
  artifactId: string,
  stored: StoredOutput,
): Promise<Completion> {
  const { request, bodySha256 } = handover;
  return inTransaction(db, async (tx) => {
    const before = await lockTask(tx, taskId);
    const earlier = await findEarlier(tx, before, handover);
    if (earlier) return earlier;
    const { leaseId, workerId, late } = await holderFor(tx, before, request);
    await seen(tx, workerId, `completion of task ${taskId}`);
    if (!late) await releaseLease(tx, leaseId);
    const accepted = !late || before.status === "queued";

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
        worker_id: workerId,
        artifact_id: artifactId,
        status: request.status,
        error_message: request.error_message,
        metrics: request.metrics,
        completed_at: nowMs,
        lease_id: leaseId,
        body_sha256: bodySha256,
        accepted,
      })
      .returning();
    const { note: because, ...next } = outcomeOf(before, request);
    const holder =
      next.status === "queued" ? { lease_id: null, worker_id: null } : { lease_id: leaseId, worker_id: workerId };
    const [task] = accepted
      ? await tx
          .update(llmTasks)
          .set({ ...next, ...holder, updated_at: nowMs })
          .where(and(eq(llmTasks.id, taskId), inArray(llmTasks.status, late ? ["queued"] : ["leased", "running"])))
          .returning()
      : [before];
    if (!task || !artifact || !result) throw new Error(`The completion of task ${taskId} returned no row.`);

    const note = late ? `, after lease ${leaseId} had ended` : "";
    const fact = { entity_type: "llm_task", entity_id: taskId };
    await audit(tx, {
      ...fact,
      action: accepted ? "task_completed" : "late_result_kept",
      actor: workerId,
      detail: `Status: ${request.status}, artifact: ${artifactId}, duration: ${request.metrics.duration_ms}ms${note}`,
    });
    if (accepted && because) await audit(tx, { ...fact, ...because, actor: "runtime" });
    return { task, artifact, result: { ...resultView(result), output: request.output } };
  });
}

/**
 * Whose result this is. `late` is one under a lease that was swept: a success is still worth keeping (invariant 8), an error is not.
 * Conflict: neither holds the task nor did.
 */
async function holderFor(tx: Db, task: Task, { lease_id: leaseId, status }: CompleteTask) {
  if (leaseId === undefined) requireHeld(task);
  if (isHeld(task) && task.lease_id && task.worker_id && (leaseId ?? task.lease_id) === task.lease_id)
    return { leaseId: task.lease_id, workerId: task.worker_id, late: false };
  const lease = await findLease(tx, task.id, leaseId ?? "");
  if (lease?.status !== "expired" || status !== "success") throw staleLease(leaseId);
  return { leaseId: lease.id, workerId: lease.worker_id, late: true };
}

async function releaseLease(tx: Db, leaseId: string): Promise<void> {
  const released = await tx
    .update(leases)
    .set({ status: "released" })
    .where(and(eq(leases.id, leaseId), eq(leases.status, "active")))
    .returning({ id: leases.id });
  if (released.length === 0) throw staleLease(leaseId);
}

/** What an earlier completion under this lease was answered. Conflict: it had another body, or came too late. */
async function findEarlier(db: Db, task: Task, { request, bodySha256 }: Handover) {
  const { lease_id: leaseId } = request;
  if (leaseId === undefined || !(await findLease(db, task.id, leaseId))) return undefined;
  const [found] = await db
    .select({ result: llmResults, artifact: runtimeArtifacts })
    .from(llmResults)
    .innerJoin(runtimeArtifacts, eq(runtimeArtifacts.id, llmResults.artifact_id))
    .where(eq(llmResults.lease_id, leaseId));
  if (!found) return undefined;
  const { result, artifact } = found;
  if (result.body_sha256 !== bodySha256)
    throw new Conflict(`Lease ${leaseId} was completed before with another body; that result stands.`);
  if (!result.accepted) throw tooLate(artifact.id);
  return { task, artifact, result: { ...resultView(result), output: request.output } };
}

/** Schemas give their fields in one order, so that equal bodies have equal text. The fence is not part of it. */
function hashOf({ lease_id: _fence, ...body }: CompleteTask): string {
  return createHash("sha256").update(JSON.stringify(body)).digest("hex");
}

const isHeld = ({ status }: Task) => status === "leased" || status === "running";

function requireHeld(task: Task): void {
  if (!isHeld(task)) throw new Conflict(`Task status is '${task.status}', expected 'leased' or 'running'`);
}

function tooLate(artifactId: string): Conflict {
  return new Conflict(
    `The lease had ended and the task has gone on without it. The output is kept as artifact ${artifactId}, but it is not the task's result.`,
  );
}
