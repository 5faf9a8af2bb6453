import { sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import { actorOf } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import { statement } from "../db/statement.ts";
import { lockSilent, signOfLife } from "../fleet/evidence.ts";
import { sha256Of } from "../storage/hash.ts";
import { CONTENT_TYPES } from "../storage/place.ts";
import { leaseIsActive, taskIsHeld } from "./fence.ts";
import { answerTo, type Completion, detailOf, handoverOf } from "./handover.ts";
import { tellQueueNews } from "./news.ts";

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
  metrics: string;
  bodySha256: string;
  entryId: string;
  actor: string | null;
  detail: string;
};
const given = (name: keyof Values) => sql.placeholder(name);

/** The ordinary completion: of the task's current lease, with an output that lies in PostgreSQL, and no question of what becomes of the task. */
const COMPLETE = statement<Completion, Values>(
  "complete",
  sql`with held as (
      select t.id, t.lease_id, t.worker_id, t.desired_format
      from llm_tasks t join leases l on l.id = t.lease_id
      where t.id = ${given("taskId")} and ${taskIsHeld} and ${leaseIsActive}
        and t.lease_id = coalesce(${given("leaseId")}::uuid, t.lease_id) and not t.cancel_requested
        and (${given("status")} = 'success' or t.retry is null or not ${given("retryable")}::boolean)
      for no key update of t
    ), ${lockSilent(sql`held`)}, ${signOfLife({ before: sql`silent`, evidence: sql`'completion of task ' || (select id from held)` })},
    released as (
      update leases l set status = 'released'
      from held left join sign_of_life on true
      where l.id = held.lease_id and ${leaseIsActive}
      returning l.id, l.task_id, l.worker_id
    ), artifact as (
      insert into runtime_artifacts (id, task_id, type, created_at, finalized, tags, content, size_bytes, sha256, content_type)
      select ${given("artifactId")}::uuid, held.id, ${given("artifactType")}, ${nowMs}, true, ${given("tags")}::jsonb, ${given("output")},
        ${given("sizeBytes")}::bigint, ${given("sha256")}, ${given("contentTypes")}::jsonb ->> held.desired_format
      from held, released
      returning id, task_id, job_id, type, created_at, finalized, url, entity_refs, tags, null as content, size_bytes, sha256, content_type
    ), result as (
      insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, metrics, completed_at, lease_id, body_sha256, accepted)
      select ${given("resultId")}::uuid, task_id, worker_id, ${given("artifactId")}::uuid, ${given("status")}, ${given("errorMessage")},
        ${given("metrics")}::jsonb, ${nowMs}, released.id, ${given("bodySha256")}, true
      from released
      returning *
    ), task as (
      update llm_tasks t set status = case ${given("status")} when 'success' then 'completed' else 'failed' end, updated_at = ${nowMs}
      from released
      where t.id = released.task_id and ${taskIsHeld}
      returning t.*
    ), entry as (
      insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select ${given("entryId")}::uuid, ${nowMs}, 'task_completed', 'llm_task', task_id, coalesce(${given("actor")}, worker_id), ${given("detail")}
      from released
    )
    select row_to_json(task) as task, row_to_json(artifact) as artifact, row_to_json(result) as result from task, artifact, result`,
);

/**
 * Takes the result of a task in one statement, where nothing is out of the ordinary. Undefined, and nothing is changed, where it is: the long
 * way, `completeTask`, then says what is.
 */
export async function completeAtOnce(db: Db, taskId: string, request: CompleteTask): Promise<Completion | undefined> {
  const { status, output, lease_id: leaseId, metrics } = request;
  if (request.output_id !== undefined || !isUuid(taskId) || (leaseId !== undefined && !isUuid(leaseId))) return;
  const artifactId = newId();
  const [completion] = await COMPLETE(db, {
    taskId,
    leaseId: leaseId ?? null,
    status,
    retryable: request.retryable,
    output,
    sizeBytes: output === null ? null : Buffer.byteLength(output),
    sha256: output === null ? null : sha256Of(output),
    contentTypes: JSON.stringify(CONTENT_TYPES),
    artifactId,
    artifactType: request.artifact_type,
    tags: JSON.stringify(request.artifact_tags),
    resultId: newId(),
    errorMessage: request.error_message,
    metrics: JSON.stringify(metrics),
    bodySha256: handoverOf(request).bodySha256,
    entryId: newId(),
    actor: actorOf(null),
    detail: detailOf(request, artifactId),
  });
  if (!completion) return;
  tellQueueNews(db);
  const { task, artifact, result } = completion;
  return answerTo(request, task, { ...artifact, content: output }, result);
}
