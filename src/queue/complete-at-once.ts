import { sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Artifact, Result, Task } from "../contract/views.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import { llmTasks, workers } from "../db/schema.ts";
import { columnsOf, statement } from "../db/statement.ts";
import { isQuiet, seen } from "../fleet/evidence.ts";
import { isNewSuccess, recordFailure, recordSuccess } from "../fleet/failures.ts";
import { sha256Of } from "../storage/hash.ts";
import { CONTENT_TYPES } from "../storage/place.ts";
import { leaseIsActive, taskIsHeld } from "./fence.ts";
import { type Completion, detailOf, handoverOf } from "./handover.ts";
import { tellQueueNews } from "./news.ts";
import { lastErrorOf } from "./outcome.ts";

type Values = {
  taskId: string;
  leaseId: string | null;
  status: CompleteTask["status"];
  retryable: boolean;
  output: string | null;
  sizeBytes: number | null;
  sha256: string | null;
  contentTypes: string;
  artifactId: string;
  artifactType: string;
  tags: string;
  resultId: string;
  errorMessage: string | null;
  lastError: string | null;
  metrics: string;
  bodySha256: string;
  entryId: string;
  actor: string | null;
  detail: string;
};
const given = (name: keyof Values) => sql.placeholder(name);

/** The ordinary completion: of the task's current lease, with an output that lies in PostgreSQL, and no question of what becomes of the task. */
const COMPLETE = statement<{ task: Task; quiet: boolean; new_success: boolean }, Values>(
  "complete",
  sql`with task as (
      update llm_tasks t set status = case ${given("status")} when 'success' then 'completed' else 'failed' end,
        last_error = ${given("lastError")}, updated_at = ${nowMs}
      from leases l
      where t.id = ${given("taskId")} and l.id = t.lease_id and ${taskIsHeld} and ${leaseIsActive}
        and t.lease_id = coalesce(${given("leaseId")}::uuid, t.lease_id) and not t.cancel_requested
        and (${given("status")} = 'success' or t.retry is null or not ${given("retryable")}::boolean)
      returning ${columnsOf(llmTasks, "t")}
    ), released as (
      update leases l set status = 'released' from task where l.id = task.lease_id and ${leaseIsActive}
    ), artifact as (
      insert into runtime_artifacts (id, task_id, type, created_at, finalized, tags, content, size_bytes, sha256, content_type)
      select ${given("artifactId")}::uuid, id, ${given("artifactType")}, updated_at, true, ${given("tags")}::jsonb, ${given("output")},
        ${given("sizeBytes")}::bigint, ${given("sha256")}, ${given("contentTypes")}::jsonb ->> desired_format
      from task
    ), result as (
      insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, metrics, completed_at, lease_id, body_sha256, accepted)
      select ${given("resultId")}::uuid, id, worker_id, ${given("artifactId")}::uuid, ${given("status")}, ${given("errorMessage")},
        ${given("metrics")}::jsonb, updated_at, lease_id, ${given("bodySha256")}, true
      from task
    ), entry as (
      insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select ${given("entryId")}::uuid, updated_at, 'task_completed', 'llm_task', id, coalesce(${given("actor")}, worker_id), ${given("detail")}
      from task
    )
    select row_to_json(task) as task, coalesce(${isQuiet}, false) as quiet, coalesce(${isNewSuccess}, false) as new_success
    from task left join ${workers} on ${workers.id} = task.worker_id`,
);

/**
 * Takes the result of a task in one statement, where nothing is out of the ordinary. Undefined, and nothing is changed, where it is: the long
 * way, `completeTask`, then says what is.
 */
export async function completeAtOnce(db: Db, taskId: string, request: CompleteTask): Promise<Completion | undefined> {
  const { status, output, lease_id: leaseId, metrics, error_message } = request;
  if (request.output_id !== undefined || !isUuid(taskId) || (leaseId !== undefined && !isUuid(leaseId))) return;
  const [artifactId, resultId] = [newId(), newId()];
  const bytes = output === null ? { size_bytes: null, sha256: null } : measured(output);
  const [completed] = await COMPLETE(db, {
    taskId,
    leaseId: leaseId ?? null,
    status,
    retryable: request.retryable,
    output,
    sizeBytes: bytes.size_bytes,
    sha256: bytes.sha256,
    contentTypes: JSON.stringify(CONTENT_TYPES),
    artifactId,
    artifactType: request.artifact_type,
    tags: JSON.stringify(request.artifact_tags),
    resultId,
    errorMessage: error_message,
    lastError: lastErrorOf(request),
    metrics: JSON.stringify(metrics),
    bodySha256: handoverOf(request).bodySha256,
    entryId: newId(),
    actor: actorOf(db, null),
    detail: detailOf(request, artifactId),
  });
  if (!completed) return;
  tellQueueNews(db);
  const { task, quiet, new_success } = completed;
  const { id: task_id, worker_id, updated_at } = task;
  if (worker_id === null) throw new Error(`Task ${task_id} was held by nobody.`);
  if (quiet) await seen(db, worker_id, `completion of task ${task_id}`);
  if (status === "error" && task.lease_id !== null) await recordFailure(db, task.lease_id);
  else if (new_success) await recordSuccess(db, worker_id);
  // As they were stored: reading them back costs a tenth of the statement.
  const artifact: Artifact = {
    id: artifactId,
    task_id,
    job_id: null,
    type: request.artifact_type,
    created_at: updated_at,
    finalized: true,
    url: null,
    entity_refs: [],
    tags: request.artifact_tags,
    content: output,
    ...bytes,
    content_type: CONTENT_TYPES[task.desired_format],
    accepted: true,
  };
  const result: Result = {
    id: resultId,
    task_id,
    worker_id,
    artifact_id: artifactId,
    status,
    output,
    error_message,
    metrics,
    completed_at: updated_at,
    lease_id: task.lease_id,
    accepted: true,
    incomplete: false,
  };
  return { task, artifact, result };
}

const measured = (output: string) => ({ size_bytes: Buffer.byteLength(output), sha256: sha256Of(output) });
