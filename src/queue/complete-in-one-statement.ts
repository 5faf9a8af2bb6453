import { type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { actorOf, insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { newId } from "../db/ids.ts";
import { llmTasks } from "../db/schema.ts";
import { columnsOf, statement } from "../db/statement.ts";
import { isNewSuccess, recordSuccess } from "../fleet/failures.ts";
import { isQuiet, recordSignOfLife } from "../fleet/signs-of-life.ts";
import type { PlacedOutput } from "../storage/place-output.ts";
import { afterCommit } from "./after-commit.ts";
import { type Completion, detailOf, type Submission } from "./completion.ts";
import { recordFailedAttempt } from "./failed-attempt.ts";
import { leaseIsActive, taskIsHeld } from "./fence.ts";
import { endsTask, lastErrorOf } from "./outcome.ts";
import { tellQueueNews } from "./queue-news.ts";

type Values = {
  taskId: string;
  leaseId: string | null;
  status: CompleteTask["status"];
  ends: ReturnType<typeof endsTask>;
  url: string | null;
  content: string | null;
  sizeBytes: number | null;
  sha256: string | null;
  contentTypes: string;
  artifactId: string;
  artifactType: string;
  tags: string;
  resultId: string;
  errorMessage: string | null;
  errorKind: CompleteTask["error_kind"];
  lastError: string | null;
  metrics: string;
  bodySha256: string;
  incomplete: boolean;
  entryId: string;
  actor: string | null;
  detail: string;
};
type StagedValues = Values & { keepChunks: boolean };
const given = (name: keyof StagedValues) => sql.placeholder(name);

interface Completed {
  task: Task;
  quiet: boolean;
  new_success: boolean;
}

/** True for an ordinary completion: the lease `l` holds the task `t`; the result ends the task, and its output is not to be checked. */
const isOrdinary = sql`t.id = ${given("taskId")} and l.id = t.lease_id and ${taskIsHeld} and ${leaseIsActive}
  and t.lease_id = coalesce(${given("leaseId")}::uuid, t.lease_id) and not t.cancel_requested
  and (t.output_schema is null or ${given("status")} = 'error')
  and (${given("ends")} = 'yes' or (${given("ends")} = 'without retry' and t.retry is null))`;

const ENTRY = {
  id: sql`${given("entryId")}::uuid`,
  timestamp: sql`updated_at`,
  action: sql`'task_completed'`,
  entity_type: sql`'llm_task'`,
  entity_id: sql`id`,
  actor: sql`coalesce(${given("actor")}, worker_id)`,
  detail: given("detail"),
};

/** The statement. `before` are CTEs on which the change depends: the task changes only if `from` has a row. The artifact is written when `isReady` holds. */
const completing = (before: SQL, from: SQL, isReady: SQL) => sql`with ${before} task as (
      update llm_tasks t set status = case ${given("status")} when 'success' then 'completed' else 'failed' end,
        last_error = ${given("lastError")}, error_kind = ${given("errorKind")}, updated_at = ${nowMs}
      from leases l ${from}
      where ${isOrdinary}
      returning ${columnsOf(llmTasks, "t")}
    ), released as (
      update leases l set status = 'released' from task where l.id = task.lease_id and ${leaseIsActive}
    ), artifact as (
      insert into runtime_artifacts (id, task_id, type, created_at, finalized, tags, url, content, size_bytes, sha256, content_type)
      select ${given("artifactId")}::uuid, id, ${given("artifactType")}, updated_at, true, ${given("tags")}::jsonb, ${given("url")},
        ${given("content")}, ${given("sizeBytes")}::bigint, ${given("sha256")}, ${given("contentTypes")}::jsonb ->> desired_format
      from task ${isReady}
    ), result as (
      insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, error_kind, metrics, completed_at, lease_id,
        body_sha256, accepted, incomplete)
      select ${given("resultId")}::uuid, id, worker_id, ${given("artifactId")}::uuid, ${given("status")}, ${given("errorMessage")},
        ${given("errorKind")}, ${given("metrics")}::jsonb, updated_at, lease_id, ${given("bodySha256")}, true, ${given("incomplete")}::boolean
      from task
    ), entry as (
      ${insertAudit(ENTRY, sql`task`)}
    )
    select row_to_json(task) as task, coalesce(${isQuiet}, false) as quiet, coalesce(${isNewSuccess}, false) as new_success
    from task left join ${workers} on ${workers.id} = task.worker_id`;

const COMPLETE = statement<Completed, Values>("complete", completing(sql``, sql``, sql``));

/**
 * The same for an output that has a staged row, which the completion takes over. The task is locked before that row, as everywhere, and changes
 * only if the row is still there. The output's pieces are deleted before the artifact is written, since the database refuses it afterwards.
 */
const COMPLETE_STAGED = statement<Completed, StagedValues>(
  "complete_staged",
  completing(
    sql`held as (
      select t.id from llm_tasks t, leases l where ${isOrdinary} for no key update of t
    ), taken as (
      delete from runtime_staged_outputs s using held
      where s.id = ${given("artifactId")}::uuid and s.size_bytes is not null returning s.id
    ), cleared as (
      delete from runtime_output_chunks c using taken where c.output_id = taken.id and not ${given("keepChunks")}::boolean returning c.seq
    ),`,
    sql`, taken`,
    sql`where (select count(*) from cleared) >= 0`,
  ),
);

/**
 * Takes the result of a task, whose output is already placed, in one statement. This covers the ordinary case: the lease holds the task, and the
 * result ends it. In any other case the answer is undefined, and nothing is changed.
 */
export async function completeInOneStatement(
  db: Db,
  taskId: string,
  { request, bodySha256, incomplete }: Submission,
  { id: artifactId, columns, contentTypes, staged }: PlacedOutput,
): Promise<Completion | undefined> {
  const { status, output, lease_id: leaseId, metrics, error_message, error_kind } = request;
  const resultId = newId();
  const values: Values = {
    taskId,
    leaseId: leaseId ?? null,
    status,
    ends: endsTask(request),
    url: columns.url,
    content: columns.content,
    sizeBytes: columns.size_bytes,
    sha256: columns.sha256,
    contentTypes: JSON.stringify(contentTypes),
    artifactId,
    artifactType: request.artifact_type,
    tags: JSON.stringify(request.artifact_tags),
    resultId,
    errorMessage: error_message,
    errorKind: error_kind,
    lastError: lastErrorOf(request),
    metrics: JSON.stringify(metrics),
    bodySha256,
    incomplete,
    entryId: newId(),
    actor: actorOf(db, null),
    detail: detailOf(request, artifactId),
  };
  const [completed] = staged
    ? await COMPLETE_STAGED(db, { ...values, keepChunks: staged.keepChunks })
    : await COMPLETE(db, values);
  if (!completed) return undefined;
  tellQueueNews(db);
  const { task } = completed;
  const { id: task_id, worker_id, lease_id, updated_at } = task;
  if (worker_id === null || lease_id === null) throw new Error(`Task ${task_id} was held by nobody.`);
  await afterCommit(db, `completion of task ${task_id}`, async (what) => {
    if (completed.quiet) await recordSignOfLife(db, worker_id, what);
    if (status === "error") await recordFailedAttempt(db, request, worker_id, lease_id);
    else if (completed.new_success) await recordSuccess(db, worker_id);
  });
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
      ...columns,
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
