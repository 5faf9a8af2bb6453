import type { Caller } from "../caller.ts";
import type { Completed } from "../contract/record-types.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { recordSuccess } from "../fleet/quick-failures.ts";
import { recordSignOfLife } from "../fleet/signs-of-life.ts";
import type { PlacedOutput } from "../storage/place-output.ts";
import { usageOf } from "./attempt-usage.ts";
import { type Completion, completions, stagedCompletions } from "./completion-statement.ts";
import { countCompletion } from "./count-completion.ts";
import { endsTask, lastErrorOf } from "./outcome.ts";
import { tellQueueNews } from "./queue-news.ts";
import { recordFailedAttempt } from "./record-failed-attempt.ts";
import { modelOf } from "./record-usage.ts";
import { runOrLog } from "./run-or-log.ts";
import { detailOf, type SubmittedResult } from "./submitted-result.ts";
import { traceAttempt } from "./trace-attempt.ts";

/**
 * Takes the result of a task, whose output is already placed, in one statement. This covers the ordinary case: the lease holds the task, and the
 * result ends it. In any other case the answer is undefined, and nothing is changed.
 */
export async function completeInOneStatement(
  db: Db,
  caller: Caller | undefined,
  taskId: string,
  { request, bodySha256, incomplete }: SubmittedResult,
  { id: artifactId, columns, contentTypes, staged }: PlacedOutput,
): Promise<Completed | undefined> {
  const { status, output, lease_id: leaseId, metrics, error_message, error_kind } = request;
  const resultId = newId();
  const used = usageOf(metrics);
  const completion: Completion = {
    task_id: taskId,
    lease_id: leaseId ?? null,
    status,
    ends: endsTask(request),
    ...columns,
    content_types: contentTypes,
    artifact_id: artifactId,
    artifact_type: request.artifact_type,
    tags: request.artifact_tags,
    result_id: resultId,
    error_message,
    error_kind,
    last_error: lastErrorOf(request),
    metrics,
    used: used ?? null,
    model: used ? modelOf(metrics) : null,
    body_sha256: bodySha256,
    incomplete,
    entry_id: newId(),
    actor: actorOf(caller, null),
    detail: detailOf(request, artifactId),
  };
  const completed = await (staged
    ? stagedCompletions.send(db, { ...completion, keep_pieces: staged.keepPieces })
    : completions.send(db, completion));
  if (!completed) return undefined;
  tellQueueNews(db);
  const { task } = completed;
  countCompletion(db, request, task, completed.run_ms);
  const { id: task_id, worker_id, lease_id, updated_at } = task;
  if (worker_id === null || lease_id === null) throw new Error(`Task ${task_id} was held by nobody.`);
  traceAttempt(db, {
    task,
    leaseId: lease_id,
    workerId: worker_id,
    startedAt: updated_at - completed.run_ms,
    endedAt: updated_at,
    outcome: task.status,
    isFault: status === "error",
  });
  await runOrLog(db, caller, `completion of task ${task_id}`, async (what) => {
    if (completed.needs_sign) await recordSignOfLife(db, worker_id, what);
    if (status === "error") await recordFailedAttempt(db, request, worker_id, lease_id);
    else if (completed.new_success) await recordSuccess(db, worker_id);
  });
  const { content_json_bytes: _, ...shown } = columns;
  // These are the values that were stored. To read them back would cost a tenth of the statement.
  return {
    task,
    artifact: {
      id: artifactId,
      task_id,
      job_id: null,
      type: request.artifact_type,
      created_at: updated_at,
      finalized: true,
      entity_refs: [],
      tags: request.artifact_tags,
      ...shown,
      content_type: contentTypes[task.desired_format],
      accepted: true,
    },
    result: {
      id: resultId,
      task_id,
      worker_id,
      artifact_id: artifactId,
      status,
      output: output ?? columns.content,
      error_message,
      error_kind,
      metrics,
      completed_at: updated_at,
      lease_id,
      accepted: true,
      incomplete,
    },
  };
}
