/** The statement that completes tasks in the ordinary case, for outputs in the artifact's row and for uploaded ones, and with what was used. */
import { type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/complete-task.ts";
import { TASK_FIELDS, type Task } from "../contract/views.ts";
import { insertAudit } from "../db/audit.ts";
import { batcher } from "../db/batcher.ts";
import { nowMs } from "../db/clock.ts";
import type { Usage } from "../db/column-values.ts";
import { columnsOf } from "../db/columns.ts";
import { workers } from "../db/fleet-tables.ts";
import { type Locks, setStatement } from "../db/set-statement.ts";
import { isNewSuccess } from "../fleet/quick-failures.ts";
import { isQuiet } from "../fleet/signs-of-life.ts";
import { holding, leaseIsActive } from "./fence.ts";
import type { endsTask } from "./outcome.ts";
import { addUsage, insertUsage } from "./record-usage.ts";

/** A completion in the ordinary case. Its output is placed: `url`, `content`, `size_bytes`, `sha256` say where. */
export type Completion = {
  task_id: string;
  lease_id: string | null;
  status: CompleteTask["status"];
  ends: ReturnType<typeof endsTask>;
  url: string | null;
  content: string | null;
  size_bytes: number | null;
  sha256: string | null;
  content_types: Record<Task["desired_format"], string>;
  artifact_id: string;
  artifact_type: string;
  tags: string[];
  result_id: string;
  error_message: string | null;
  error_kind: CompleteTask["error_kind"];
  last_error: string | null;
  metrics: CompleteTask["metrics"];
  body_sha256: string;
  incomplete: boolean;
  entry_id: string;
  actor: string | null;
  detail: string;
};
const FIELDS = {
  task_id: "uuid",
  lease_id: "uuid",
  status: "text",
  ends: "text",
  url: "text",
  content: "text",
  size_bytes: "bigint",
  sha256: "text",
  content_types: "jsonb",
  artifact_id: "uuid",
  artifact_type: "text",
  tags: "jsonb",
  result_id: "uuid",
  error_message: "text",
  error_kind: "text",
  last_error: "text",
  metrics: "jsonb",
  body_sha256: "text",
  incomplete: "boolean",
  entry_id: "uuid",
  actor: "text",
  detail: "text",
} as const satisfies Record<keyof Completion, string>;

/** What an attempt used, for its task and for the sums. */
export type Used = { usage: Usage; model: string };
/** The output has a staged row, which the completion takes over. `keep_chunks`: it stays in pieces. */
export type Staged = { keep_chunks: boolean };

export interface Completed {
  task: Task;
  quiet: boolean;
  /** From lease to completion. */
  run_ms: number;
  new_success: boolean;
}

/** True for an ordinary completion: the result ends the task, and its output is not to be checked. */
const isOrdinary = sql`and not t.cancel_requested and (t.output_schema is null or request.status = 'error')
  and (request.ends = 'yes' or (request.ends = 'without retry' and t.retry is null))`;

const ENTRY = {
  id: sql`entry_id`,
  timestamp: sql`updated_at`,
  action: sql`'task_completed'`,
  entity_type: sql`'llm_task'`,
  entity_id: sql`task.id`,
  actor: sql`coalesce(actor, worker_id)`,
  detail: sql`detail`,
};
/** The tasks that were completed, each with its request. */
const TASKS = sql`task join request using (ordinal)`;

interface Parts {
  /** Fields of the request that the other parts read from `held`. It has no more than it needs: an output may be long. */
  more: SQL;
  /** CTEs between `held` and the change of the task, and a join without which a task does not change. */
  before: SQL;
  join: SQL;
  /** The artifact is written when this holds. */
  isReady: SQL;
  /** What else is set, and CTEs behind the change. */
  set: SQL;
  after: SQL;
}
const NOTHING: Parts = { more: sql``, before: sql``, join: sql``, isReady: sql``, set: sql``, after: sql`` };
const USED: Pick<Parts, "more" | "set" | "after"> = {
  more: sql`request.usage,`,
  set: sql`usage = ${addUsage(sql`t.usage`, sql`held.usage`)},`,
  after: sql`, used as (
      ${insertUsage(sql`(select agent_slug, context_id, worker_id, updated_at, request.usage as used, model from ${TASKS})`)}
    )`,
};
/**
 * The task is locked before the staged row, as everywhere, and changes only if the row is still there. The output's pieces are deleted before the
 * artifact is written, since the database refuses it afterwards.
 */
const STAGED: Pick<Parts, "before" | "join" | "isReady"> = {
  before: sql`taken as (
      delete from runtime_staged_outputs s using held where s.id = held.artifact_id and s.size_bytes is not null returning s.id
    ), cleared as (
      delete from runtime_output_chunks c using taken, request
      where c.output_id = taken.id and request.artifact_id = taken.id and not request.keep_chunks returning c.seq
    ),`,
  join: sql`join taken on taken.id = held.artifact_id`,
  isReady: sql`where (select count(*) from cleared) >= 0`,
};

const completing =
  ({ more, before, join, isReady, set, after }: Parts) =>
  (locks: Locks) =>
    sql`held as (
      select request.ordinal, request.artifact_id, request.status, request.last_error, request.error_kind, ${more} task.*
      from request cross join lateral (${holding(sql`t.id, t.lease_id, l.started_at`, locks, isOrdinary)}) as task
    ), ${before} task as (
      update llm_tasks t set status = case held.status when 'success' then 'completed' else 'failed' end,
        ${set} last_error = held.last_error, error_kind = held.error_kind, updated_at = ${nowMs}
      from held ${join}
      where t.id = held.id and t.lease_id = held.lease_id
      returning held.ordinal, held.started_at, ${columnsOf(TASK_FIELDS, "t")}
    ), released as (
      update leases l set status = 'released' from task where l.id = task.lease_id and ${leaseIsActive}
    ), artifact as (
      insert into runtime_artifacts (id, task_id, type, created_at, finalized, tags, url, content, size_bytes, sha256, content_type)
      select artifact_id, task.id, artifact_type, updated_at, true, tags, url, content, request.size_bytes, sha256, content_types ->> desired_format
      from ${TASKS} ${isReady}
    ), result as (
      insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, error_kind, metrics, completed_at, lease_id,
        body_sha256, accepted, incomplete)
      select result_id, task.id, worker_id, artifact_id, request.status, error_message, request.error_kind, metrics, updated_at, task.lease_id,
        body_sha256, true, incomplete
      from ${TASKS}
    ), entry as (
      ${insertAudit(ENTRY, TASKS)}
    )${after}
    select ordinal, (select row_to_json(record) from (select ${columnsOf(TASK_FIELDS, "task")}) as record) as task,
      coalesce(${isQuiet}, false) as quiet, coalesce(${isNewSuccess}, false) as new_success, task.updated_at - task.started_at as run_ms
    from task left join ${workers} on ${workers.id} = task.worker_id`;

const USED_FIELDS = { usage: "jsonb", model: "text" } as const;
const STAGED_FIELDS = { keep_chunks: "boolean" } as const;
const lengthOf = ({ content, error_message }: Completion) =>
  1_000 + (content?.length ?? 0) + (error_message?.length ?? 0);

export const completions = batcher(
  setStatement<Completed, Completion>("complete", FIELDS, completing(NOTHING)),
  lengthOf,
);
/** Some completions say nothing of what was used: these do not pay for it. */
export const completionsUsed = batcher(
  setStatement<Completed, Completion & Used>(
    "complete_used",
    { ...FIELDS, ...USED_FIELDS },
    completing({ ...NOTHING, ...USED }),
  ),
  lengthOf,
);
export const completionsStaged = batcher(
  setStatement<Completed, Completion & Staged>(
    "complete_staged",
    { ...FIELDS, ...STAGED_FIELDS },
    completing({ ...NOTHING, ...STAGED }),
  ),
  lengthOf,
);
export const completionsStagedUsed = batcher(
  setStatement<Completed, Completion & Staged & Used>(
    "complete_staged_used",
    { ...FIELDS, ...STAGED_FIELDS, ...USED_FIELDS },
    completing({ ...NOTHING, ...USED, ...STAGED }),
  ),
  lengthOf,
);
