/** The statement that completes a task in the ordinary case, for outputs in the artifact's row and for uploaded ones, and with what was used. */
import { type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/complete-task.ts";
import { TASK_FIELDS, type Task } from "../contract/record-types.ts";
import { insertAudit } from "../db/audit.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf } from "../db/column-lists.ts";
import { workers } from "../db/fleet-tables.ts";
import { statement } from "../db/statement.ts";
import { isNewSuccess } from "../fleet/quick-failures.ts";
import { isQuiet } from "../fleet/signs-of-life.ts";
import { leaseIsActive, taskIsHeld } from "./fence.ts";
import type { endsTask } from "./outcome.ts";
import { addUsage, insertUsage } from "./record-usage.ts";

export type CompletionValues = {
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
type StagedValues = CompletionValues & { keepChunks: boolean };
type UsedValues = CompletionValues & { usage: string; model: string };
const given = (name: keyof (StagedValues & UsedValues)) => sql.placeholder(name);

export interface Completed {
  task: Task;
  quiet: boolean;
  /** From lease to completion. */
  run_ms: number;
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

const USED = {
  set: sql`usage = ${addUsage(sql`t.usage`, sql`${given("usage")}`)},`,
  ctes: sql`, used as (
      ${insertUsage(sql`task`, sql`${given("usage")}`, sql`${given("model")}`)}
    )`,
};
const NOTHING_USED = { set: sql``, ctes: sql`` };

/**
 * The statement. `before` are CTEs on which the change depends: the task changes only if `from` has a row. The artifact is written when
 * `isReady` holds.
 */
const completing = (before: SQL, from: SQL, isReady: SQL, used: typeof USED) => sql`with ${before} task as (
      update llm_tasks t set status = case ${given("status")} when 'success' then 'completed' else 'failed' end,
        ${used.set} last_error = ${given("lastError")}, error_kind = ${given("errorKind")}, updated_at = ${nowMs}
      from leases l ${from}
      where ${isOrdinary}
      returning ${columnsOf(TASK_FIELDS, "t")}
    ), released as (
      update leases l set status = 'released' from task where l.id = task.lease_id and ${leaseIsActive} returning l.started_at
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
    )${used.ctes}
    select row_to_json(task) as task, coalesce(${isQuiet}, false) as quiet, coalesce(${isNewSuccess}, false) as new_success,
      task.updated_at - (select started_at from released) as run_ms
    from task left join ${workers} on ${workers.id} = task.worker_id`;

export const COMPLETE = statement<Completed, CompletionValues>(
  "complete",
  completing(sql``, sql``, sql``, NOTHING_USED),
);
/** Most completions say nothing of what was used: these do not pay for it. */
export const COMPLETE_USED = statement<Completed, UsedValues>("complete_used", completing(sql``, sql``, sql``, USED));

/**
 * The same for an output that has a staged row, which the completion takes over. The task is locked before that row, as everywhere, and changes
 * only if the row is still there. The output's pieces are deleted before the artifact is written, since the database refuses it afterwards.
 */
const completingStaged = (used: typeof USED) =>
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
    used,
  );
export const COMPLETE_STAGED = statement<Completed, StagedValues>("complete_staged", completingStaged(NOTHING_USED));
export const COMPLETE_STAGED_USED = statement<Completed, StagedValues & UsedValues>(
  "complete_staged_used",
  completingStaged(USED),
);
