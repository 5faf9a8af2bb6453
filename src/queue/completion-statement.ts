/**
 * The statements that complete tasks in the ordinary case, for one task and for a batch: `completions` for outputs that are in their place already,
 * `stagedCompletions` for outputs that have a staged row.
 */
import { type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/complete-task.ts";
import { TASK_FIELDS, type Task } from "../contract/record-types.ts";
import { type EntryInSql, insertAudit } from "../db/audit.ts";
import { batchStatement, type Locks, type Size } from "../db/batch-statement.ts";
import { batcher } from "../db/batcher.ts";
import { nowMs } from "../db/clock.ts";
import { columnsOf, jsonOf } from "../db/column-lists.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Metrics, Usage } from "../db/json-types.ts";
import { isNewSuccess } from "../fleet/quick-failures.ts";
import { needsSign } from "../fleet/signs-of-life.ts";
import { HOLDER_TYPES, type HolderRequest, heldBy, leaseIsActive, taskIsHeld } from "./fence.ts";
import type { endsTask } from "./outcome.ts";
import { addUsage, insertUsage } from "./record-usage.ts";

export type Completion = HolderRequest & {
  status: CompleteTask["status"];
  ends: ReturnType<typeof endsTask>;
  url: string | null;
  content: string | null;
  size_bytes: number | null;
  sha256: string | null;
  content_json_bytes: number | null;
  content_types: Record<Task["desired_format"], string>;
  artifact_id: string;
  artifact_type: string;
  tags: string[];
  result_id: string;
  error_message: string | null;
  error_kind: CompleteTask["error_kind"];
  last_error: string | null;
  metrics: Metrics;
  /** What the attempt used, and with which model; null where its metrics do not say. */
  used: Usage | null;
  model: string | null;
  body_sha256: string;
  incomplete: boolean;
  entry_id: string;
  actor: string | null;
  detail: string;
};
type StagedCompletion = Completion & { keep_pieces: boolean };

const TYPES = {
  ...HOLDER_TYPES,
  status: "text",
  ends: "text",
  url: "text",
  content: "text",
  size_bytes: "bigint",
  sha256: "text",
  content_json_bytes: "integer",
  content_types: "jsonb",
  artifact_id: "uuid",
  artifact_type: "text",
  tags: "jsonb",
  result_id: "uuid",
  error_message: "text",
  error_kind: "text",
  last_error: "text",
  metrics: "jsonb",
  used: "jsonb",
  model: "text",
  body_sha256: "text",
  incomplete: "boolean",
  entry_id: "uuid",
  actor: "text",
  detail: "text",
} as const;

export interface CompletedRow {
  task: Task;
  needs_sign: boolean;
  /** The time from lease to completion, in milliseconds. */
  run_ms: number;
  new_success: boolean;
}

/** True for an ordinary completion: the result ends the task, and its output is not to be checked. */
const isOrdinary = sql`not t.cancel_requested and (t.output_schema is null or request.status = 'error')
  and (request.ends = 'yes' or (request.ends = 'without retry' and t.retry is null))`;
const heldOrdinary = (locks: Locks, size: Size) => heldBy(locks, size, isOrdinary);

const ENTRY: EntryInSql = {
  id: sql`entry_id`,
  timestamp: sql`updated_at`,
  action: "task_completed",
  entity_type: sql`'llm_task'`,
  entity_id: sql`task.id`,
  actor: sql`coalesce(actor, worker_id)`,
  detail: sql`detail`,
};
const completed = sql`task join request using (ordinal)`;
const USED = sql`(select agent_slug, context_id, worker_id, updated_at, model, used from ${completed} where used is not null)`;

/**
 * The CTEs that complete the tasks in the CTE `from`, which has the `ordinal` and the task's `id`. `where` is the condition of the artifact's INSERT.
 */
const completing = (from: SQL, where = sql``) => sql`task as (
      update llm_tasks t set status = case request.status when 'success' then 'completed' else 'failed' end,
        usage = case when used is null then t.usage else ${addUsage(sql`t.usage`, sql`used`)} end,
        last_error = request.last_error, error_kind = request.error_kind, updated_at = ${nowMs}
      from ${from} as held join request using (ordinal)
      where t.id = held.id and ${taskIsHeld}
      returning ${columnsOf(TASK_FIELDS, "t")}, ordinal
    ), released as (
      update leases l set status = 'released' from task where l.id = task.lease_id and ${leaseIsActive} returning ordinal, l.started_at
    ), artifact as (
      insert into runtime_artifacts (id, task_id, type, created_at, finalized, tags, url, content, size_bytes, sha256, content_json_bytes, content_type)
      select artifact_id, id, artifact_type, updated_at, true, tags, url, content, request.size_bytes, sha256, content_json_bytes, content_types ->> desired_format
      from ${completed} ${where}
    ), result as (
      insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, error_kind, metrics, completed_at, lease_id,
        body_sha256, accepted, incomplete)
      select result_id, id, worker_id, artifact_id, request.status, error_message, request.error_kind, metrics, updated_at, task.lease_id,
        body_sha256, true, incomplete
      from ${completed}
    ), entry as (
      ${insertAudit(ENTRY, completed)}
    ), new_usage as (
      ${insertUsage(USED)}
    )
    select ordinal, ${jsonOf(TASK_FIELDS, undefined, "task")} as task, coalesce(${needsSign}, false) as needs_sign, coalesce(${isNewSuccess}, false) as new_success,
      task.updated_at - started_at as run_ms
    from task join released using (ordinal) left join ${workers} on ${workers.id} = task.worker_id`;

const lengthOf = ({ content, error_message }: Completion) => (content?.length ?? 0) + (error_message?.length ?? 0);

export const completions = batcher(
  batchStatement<CompletedRow, Completion>(
    "complete",
    TYPES,
    (...of) => sql`${heldOrdinary(...of)}, ${completing(sql`held`)}`,
  ),
  lengthOf,
);

/**
 * Completions whose outputs have a staged row, which they take over. The task is locked before that row, as everywhere, and changes
 * only if the row is still there. The output's pieces are deleted before the artifact is written, since the database refuses it afterwards.
 */
export const stagedCompletions = batcher(
  batchStatement<CompletedRow, StagedCompletion>(
    "complete_staged",
    { ...TYPES, keep_pieces: "boolean" },
    (...of) => sql`${heldOrdinary(...of)}, taken as (
      delete from runtime_staged_outputs s using held join request using (ordinal)
      where s.id = artifact_id and s.size_bytes is not null returning ordinal, held.id, s.id as output_id, keep_pieces
    ), cleared as (
      delete from runtime_output_chunks c using taken where c.output_id = taken.output_id and not keep_pieces returning c.seq
    ), ${completing(sql`taken`, sql`where (select count(*) from cleared) >= 0`)}`,
  ),
  lengthOf,
);
