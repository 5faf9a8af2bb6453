import { and, eq } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { seen } from "../fleet/evidence.ts";
import { recordFailure, recordSuccess } from "../fleet/failures.ts";
import { type ArtifactStore, giveBack, type PlacedOutput, placeOutput } from "../storage/place.ts";
import { findStaged, type StagedOutput, takeStaged } from "../storage/staging.ts";
import { findLease, isStill, requireHeld, staleLease } from "./fence.ts";
import {
  answerTo,
  type Completion,
  detailOf,
  findEarlier,
  type Handover,
  handoverOf,
  holderFor,
  tooLate,
} from "./handover.ts";
import { tellQueueNews } from "./news.ts";
import { lastErrorOf, outcomeOf } from "./outcome.ts";
import { getTask, lockTask } from "./tasks.ts";

/** NotFound: no such task. Conflict: nobody holds it, or `leaseId` was never a lease of it, so there is nothing to complete. */
export async function requireCompletable(db: Db, taskId: string, leaseId?: string): Promise<Task> {
  const task = await getTask(db, taskId);
  if (leaseId === undefined) requireHeld(task);
  else if (!(await findLease(db, taskId, leaseId))) throw staleLease(leaseId);
  return task;
}

/**
 * Takes the result of `task`, which `requireCompletable` gave. The same body under the same `lease_id` again gives the same answer and adds
 * nothing (lifecycle.md, invariant 9). The output goes to its place before the transaction and never inside it: the upload may be slow.
 * What the transaction does not take over is cleaned away later. `incomplete` marks the result: its output is known to be a part at best.
 * Conflict: as before, another body under this lease, an `output_id` that is none, or the lease had ended and the task gone on; a success
 * is then kept all the same (invariant 8).
 */
export async function completeTask(
  db: Db,
  store: ArtifactStore,
  task: Task,
  request: CompleteTask,
  { incomplete = false }: { incomplete?: boolean } = {},
): Promise<Completion> {
  const handover = { ...handoverOf(request), incomplete };
  // Looked for here as well, so that a repeated completion uploads nothing.
  const earlier = await findEarlier(db, task, handover);
  if (earlier) return earlier;

  const leaseId = request.lease_id ?? task.lease_id;
  const source =
    request.output_id === undefined ? request.output : await uploaded(db, request.output_id, task, leaseId);
  const placed = await placeOutput(db, store, { taskId: task.id, leaseId, format: task.desired_format, source });
  const completion = await record(db, task.id, handover, placed).catch(async (error) => {
    // Should this fail too, what was written down before the upload is most likely still there.
    await giveBack(db, store, { taskId: task.id, leaseId }, placed).catch(() => {});
    throw error;
  });
  if (!completion.result.accepted) throw tooLate(completion.artifact.id);
  return completion;
}

/** The output that the worker uploaded before. Conflict: there is none of this id under this lease. */
async function uploaded(db: Db, outputId: string, { id }: Task, leaseId: string | null): Promise<StagedOutput> {
  const found = leaseId === null ? undefined : await findStaged(db, outputId, id, leaseId);
  if (!found) throw new Conflict(`No output ${outputId} was uploaded under this lease; upload it again.`);
  return found;
}

/** One transition: leased or running -> what `outcomeOf` says; artifact, result, release and audit land with it (invariant 3). */
function record(
  db: Db,
  taskId: string,
  handover: Handover & { incomplete: boolean },
  placed: PlacedOutput,
): Promise<Completion> {
  const { request, bodySha256, incomplete } = handover;
  return inTransaction(db, async (tx) => {
    const before = await lockTask(tx, taskId);
    const earlier = await findEarlier(tx, before, handover);
    if (earlier) return earlier;
    const { leaseId, workerId, late } = await holderFor(tx, before, request);
    await seen(tx, workerId, `completion of task ${taskId}`);
    await (request.status === "success" ? recordSuccess(tx, workerId) : recordFailure(tx, leaseId));
    if (!late) await releaseLease(tx, leaseId);
    const accepted = !late || before.status === "queued";

    // Before the artifact: from its row on, the pieces of an output cannot be removed any more.
    if (placed.staged && !(await takeStaged(tx, placed.id, placed.staged)))
      throw new Conflict(`Output ${placed.id} was cleaned away before its completion came; send it again.`);
    const [artifact] = await tx
      .insert(runtimeArtifacts)
      .values({
        id: placed.id,
        task_id: taskId,
        type: request.artifact_type,
        created_at: nowMs,
        finalized: true,
        tags: request.artifact_tags,
        ...placed.columns,
      })
      .returning();
    const [result] = await tx
      .insert(llmResults)
      .values({
        id: newId(),
        task_id: taskId,
        worker_id: workerId,
        artifact_id: placed.id,
        status: request.status,
        error_message: request.error_message,
        metrics: request.metrics,
        completed_at: nowMs,
        lease_id: leaseId,
        body_sha256: bodySha256,
        accepted,
        incomplete,
      })
      .returning();
    const { note: because, ...next } = outcomeOf(before, request);
    const holder =
      next.status === "queued" ? { lease_id: null, worker_id: null } : { lease_id: leaseId, worker_id: workerId };
    const [task] = accepted
      ? await tx
          .update(llmTasks)
          .set({ ...next, ...holder, last_error: lastErrorOf(request), updated_at: nowMs })
          .where(and(eq(llmTasks.id, taskId), isStill(llmTasks.status, late ? ["queued"] : ["leased", "running"])))
          .returning()
      : [before];
    if (!task || !artifact || !result) throw new Error(`The completion of task ${taskId} returned no row.`);

    const note = late ? `, after lease ${leaseId} had ended` : "";
    const fact = { entity_type: "llm_task", entity_id: taskId };
    await audit(tx, {
      ...fact,
      action: accepted ? "task_completed" : "late_result_kept",
      actor: workerId,
      detail: detailOf(request, placed.id) + note,
    });
    if (accepted && because) await audit(tx, { ...fact, ...because, actor: "runtime" });
    tellQueueNews(tx);
    return answerTo(request, task, artifact, result);
  });
}

async function releaseLease(tx: Db, leaseId: string): Promise<void> {
  const released = await tx
    .update(leases)
    .set({ status: "released" })
    .where(and(eq(leases.id, leaseId), isStill(leases.status, ["active"])))
    .returning({ id: leases.id });
  if (released.length === 0) throw staleLease(leaseId);
}
