import { and, eq, type SQL, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { CompleteTask } from "../contract/complete-task.ts";
import type { Completed, StoredArtifact, Task } from "../contract/record-types.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { llmResults, runtimeArtifacts, TRANSCRIPT } from "../db/output-tables.ts";
import { HELD_STATUSES } from "../db/statuses.ts";
import { leases, llmTasks } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { recordSuccess } from "../fleet/quick-failures.ts";
import { recordSignOfLife } from "../fleet/signs-of-life.ts";
import type { PlacedOutput } from "../storage/place-output.ts";
import { takeStaged } from "../storage/staging.ts";
import { answerTo, findEarlier, resultColumns } from "./answer-to-completion.ts";
import { artifactColumns } from "./artifacts.ts";
import { usageOf } from "./attempt-usage.ts";
import { countCompletion } from "./count-completion.ts";
import { holderForCompletion, isStill, staleLease } from "./fence.ts";
import { lockTask, taskColumns } from "./get-task.ts";
import { lastErrorOf, outcomeOf } from "./outcome.ts";
import { tellQueueNews } from "./queue-news.ts";
import { recordFailedAttempt } from "./record-failed-attempt.ts";
import { addUsage, recordUsage } from "./record-usage.ts";
import { detailOf, type SubmittedResult } from "./submitted-result.ts";
import { traceAttempt } from "./trace-attempt.ts";

/**
 * Takes the result of a task in a transaction that covers every case: also a cancellation, a retry, a lease that was swept, and a completion that
 * came before. The task goes from leased or running to what `outcomeOf` says; artifact, result, release and audit entry commit with it
 * (lifecycle.md, invariant 3). Costs about 10 round trips. Conflict: another body came under this lease, the lease does not hold the task, or
 * the output was cleaned away.
 */
export function completeInTransaction(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  submitted: SubmittedResult,
  placed: PlacedOutput,
  transcript?: PlacedOutput,
): Promise<Completed> {
  const { request } = submitted;
  return inTransaction(db, async (tx) => {
    const before = await lockTask(tx, taskId);
    const earlier = await findEarlier(tx, before, submitted);
    if (earlier) return earlier;
    const { leaseId, workerId, late } = await holderForCompletion(tx, before, request);
    await recordOnWorker(tx, request, { taskId, workerId, leaseId });
    const startedAt = late ? undefined : await endLease(tx, leaseId);
    const accepted = !late || before.status === "queued";

    const { artifact_type, artifact_tags: tags } = request;
    // Lists begin with the newest artifact. The transcript is a millisecond older, so that the result comes first.
    const olderMs = sql`${nowMs} - 1`;
    if (transcript) await keep(tx, transcript, { task_id: taskId, type: TRANSCRIPT, tags }, "text", olderMs);
    const artifact = await keep(tx, placed, { task_id: taskId, type: artifact_type, tags }, before.desired_format);
    const result = await insertResult(tx, submitted, {
      task_id: taskId,
      worker_id: workerId,
      artifact_id: placed.id,
      lease_id: leaseId,
      accepted,
    });
    const { note, ...next } = outcomeOf(before, request, workerId);
    const task = accepted ? await moveTask(tx, request, next, { taskId, leaseId, workerId, late }) : before;

    const lateNote = late ? `, after lease ${leaseId} had ended` : "";
    const fact = { entity_type: "llm_task", entity_id: taskId };
    await audit(tx, {
      ...fact,
      action: accepted ? "task_completed" : "late_result_kept",
      actor: actorOf(caller, workerId),
      detail: detailOf(request, placed.id) + lateNote,
    });
    if (accepted && note) await audit(tx, { ...fact, ...note, actor: "runtime" });
    tellQueueNews(tx);
    const endedAt = result.completed_at;
    const runMs = startedAt === undefined ? undefined : endedAt - startedAt;
    countCompletion(tx, request, accepted ? task : undefined, runMs);
    // A late completion ends no lease: the sweep, which ended it, has recorded the span already.
    if (startedAt !== undefined)
      traceAttempt(tx, {
        task,
        leaseId,
        workerId,
        startedAt,
        endedAt,
        outcome: task.status,
        isFault: request.status === "error",
      });
    return answerTo(request, task, artifact, result);
  });
}

/** Records what the completion says of its worker: a success or a failed attempt, what was used, and that the worker is alive. */
async function recordOnWorker(
  tx: Db,
  request: CompleteTask,
  { taskId, workerId, leaseId }: { taskId: string; workerId: string; leaseId: string },
): Promise<void> {
  // A limit locks the account, which comes before the worker.
  if (request.status === "error") await recordFailedAttempt(tx, request, workerId, leaseId);
  else await recordSuccess(tx, workerId);
  await recordUsage(tx, taskId, workerId, request.metrics);
  await recordSignOfLife(tx, workerId, `completion of task ${taskId}`);
}

async function insertResult(
  tx: Db,
  { request, bodySha256, incomplete }: SubmittedResult,
  of: { task_id: string; worker_id: string; artifact_id: string; lease_id: string; accepted: boolean },
) {
  const { status, error_message, error_kind, metrics } = request;
  const submitted = { status, error_message, error_kind, metrics, body_sha256: bodySha256, incomplete };
  const [result] = await tx
    .insert(llmResults)
    .values({ id: newId(), ...of, ...submitted, completed_at: nowMs })
    .returning(resultColumns);
  if (!result) throw new Error(`The result of task ${of.task_id} returned no row.`);
  return result;
}

/** Moves the task to its next status. A task that is queued again is held by nobody. */
async function moveTask(
  tx: Db,
  request: CompleteTask,
  next: Omit<ReturnType<typeof outcomeOf>, "note">,
  { taskId, leaseId, workerId, late }: { taskId: string; leaseId: string; workerId: string; late: boolean },
): Promise<Task> {
  const usage = usageOf(request.metrics);
  const holder =
    next.status === "queued" ? { lease_id: null, worker_id: null } : { lease_id: leaseId, worker_id: workerId };
  const [task] = await tx
    .update(llmTasks)
    .set({
      last_error: lastErrorOf(request),
      error_kind: request.error_kind,
      ...next,
      ...holder,
      ...(usage && { usage: addUsage(sql`${llmTasks.usage}`, sql`${JSON.stringify(usage)}`) }),
      updated_at: nowMs,
    })
    .where(and(eq(llmTasks.id, taskId), isStill(llmTasks.status, late ? ["queued"] : HELD_STATUSES)))
    .returning(taskColumns);
  if (!task) throw new Error(`The completion of task ${taskId} returned no row.`);
  return task;
}

/** Writes the artifact of an output that is in its place. Conflict: it was cleaned away meanwhile. */
async function keep(
  tx: Db,
  { id, columns, contentTypes, staged }: PlacedOutput,
  of: { task_id: string; type: string; tags: string[] },
  format: Task["desired_format"],
  created_at: SQL<unknown> = nowMs,
): Promise<StoredArtifact> {
  // Before the artifact: from its row on, the pieces of an output cannot be removed any more.
  if (staged && !(await takeStaged(tx, id, staged)))
    throw new Conflict(`Output ${id} was cleaned away before its completion came; send it again.`);
  const content_type = contentTypes[format];
  const values = { id, ...of, created_at, finalized: true, ...columns, content_type };
  const [artifact] = await tx.insert(runtimeArtifacts).values(values).returning(artifactColumns);
  if (!artifact) throw new Error(`The artifact of task ${of.task_id} returned no row.`);
  return artifact;
}

/** Ends the active lease of a completion, and gives when it began. Locks the lease, after the task and the worker. Conflict: it is not active. */
async function endLease(tx: Db, leaseId: string): Promise<number> {
  const [released] = await tx
    .update(leases)
    .set({ status: "released" })
    .where(and(eq(leases.id, leaseId), isStill(leases.status, ["active"])))
    .returning({ startedAt: leases.started_at });
  if (!released) throw staleLease(leaseId);
  return released.startedAt;
}
