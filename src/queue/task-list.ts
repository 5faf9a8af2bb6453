/** Lists of tasks, by what they are about. */
import { and, type Column, eq, gte, inArray, lt, type SQL, sql } from "drizzle-orm";
import type { TaskFilter } from "../contract/filters.ts";
import { SLIM_TASK_FIELDS, TASK_FIELDS } from "../contract/record-types.ts";
import { jsonOf } from "../db/column-lists.ts";
import { isUuid } from "../db/ids.ts";
import { type Part, SHORT_FIELDS_BYTES, type Source } from "../db/list-source.ts";
import { freeWith } from "../db/partial-index-conditions.ts";
import { HELD_STATUSES, TASK_STATUSES, type TaskStatus } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { taskBytes } from "./get-task.ts";

/** What a list gives of each task: the whole record, or the record without what may be long. */
export type Detail = "whole" | "slim";

const slimBytes = sql`(case when ${llmTasks.size_bytes} is null then octet_length(${llmTasks.policy}::text)
  else greatest(0, ${llmTasks.size_bytes} - octet_length(${llmTasks.prompt})) end + ${SHORT_FIELDS_BYTES})`;
const RECORDS = {
  whole: { record: jsonOf(TASK_FIELDS), weight: taskBytes },
  slim: {
    record: jsonOf(SLIM_TASK_FIELDS, sql`octet_length(prompt) as prompt_bytes`),
    weight: slimBytes,
  },
};

/** The list of the tasks that match the filter, newest first. */
export function tasks(filter: TaskFilter = {}, detail: Detail = "whole"): Source {
  return {
    table: llmTasks,
    id: llmTasks.id,
    time: llmTasks.created_at,
    since: filter.created_after,
    until: filter.created_before,
    parts: partsOf(filter),
    ...RECORDS[detail],
    order: "newest first",
  };
}

/**
 * Columns that have an index. The index of the first column that a filter names is read, and the filter's other conditions are checked row by
 * row.
 */
const INDEXED = ["context_id", "error_kind", "worker_id", "agent_slug"] as const;
const isHeldStatus = (status: TaskStatus) => HELD_STATUSES.includes(status);
const FREE_STATUSES = TASK_STATUSES.filter((status) => !isHeldStatus(status));

/**
 * The tasks in the parts that indexes have. The indexes by context, by worker and by agent do not have the tasks that are held; these are
 * few, and are looked at by their status.
 */
function partsOf(filter: TaskFilter): Part[] {
  const { status = TASK_STATUSES, error_kind = [], q } = filter;
  const all = allBut(undefined, filter);
  const ofStatus = (value: TaskStatus) => ({ only: { column: llmTasks.status, value }, sift: all });
  const indexed = INDEXED.find((name) => filter[name] !== undefined);
  if (indexed === undefined) {
    const parts = filter.status ? status.map(ofStatus) : [{ sift: all }];
    const ids = q === undefined ? undefined : idsLike(q);
    if (!ids) return parts;
    // An id is found at once, however old its task is.
    const byId = { where: and(ids, isAmong(status, TASK_STATUSES)), isRare: true };
    return [byId, ...parts.map((part) => ({ ...part, sift: and(sql`not (${ids})`, part.sift) }))];
  }
  const rest = allBut(indexed, filter);
  if (indexed === "error_kind") {
    const sift = and(isAmong(status, TASK_STATUSES), rest);
    return error_kind.map((value) => ({ only: { column: llmTasks.error_kind, value }, sift }));
  }
  const free = {
    where: freeWith(llmTasks, indexed),
    only: { column: llmTasks[indexed], value: filter[indexed] ?? "" },
    sift: and(
      isAmong(
        status.filter((each) => !isHeldStatus(each)),
        FREE_STATUSES,
      ),
      rest,
    ),
  };
  return [...(status.every(isHeldStatus) ? [] : [free]), ...status.filter(isHeldStatus).map(ofStatus)];
}

/** True in SQL for a task that matches the filter. */
export function conditionOf(filter: TaskFilter): SQL | undefined {
  const { status, created_after, created_before } = filter;
  return and(
    allBut(undefined, filter),
    status && inArray(llmTasks.status, status),
    created_after === undefined ? undefined : gte(llmTasks.created_at, created_after),
    created_before === undefined ? undefined : lt(llmTasks.created_at, created_before),
  );
}

/** Undefined where all of these statuses are wanted. */
const isAmong = (wanted: readonly TaskStatus[], of: readonly TaskStatus[]) =>
  wanted.length < of.length ? inArray(llmTasks.status, [...wanted]) : undefined;

/** All conditions of the filter on the columns of a task, but those on its status, on its time and on the column `left`. */
function allBut(left: (typeof INDEXED)[number] | undefined, { error_kind, q, ...filter }: TaskFilter): SQL | undefined {
  const equal = (["context_id", "worker_id", "agent_slug"] as const).map((name) => {
    const value = filter[name];
    return name === left || value === undefined ? undefined : eq(llmTasks[name], value);
  });
  const ofKind = left !== "error_kind" && error_kind ? inArray(llmTasks.error_kind, error_kind) : undefined;
  return and(...equal, ofKind, q === undefined ? undefined : isLike(q));
}

/** The context's or the agent's name contains the text, in upper or lower case, or the id begins with it. */
function isLike(q: string): SQL {
  const contains = (column: Column) => sql`strpos(lower(${column}), lower(${q}::text)) > 0`;
  const ids = idsLike(q);
  const names = sql`${contains(llmTasks.context_id)} or ${contains(llmTasks.agent_slug)}`;
  return ids ? sql`(${names} or ${ids})` : sql`(${names})`;
}

/** The ids that begin with the text; undefined where it is no beginning of an id, or has less than 8 digits. */
function idsLike(q: string): SQL | undefined {
  if (q.length < 8) return undefined;
  const [first, last] = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"].map(
    (id) => q + id.slice(q.length),
  );
  return first && isUuid(first) ? sql`${llmTasks.id} between ${first}::uuid and ${last}::uuid` : undefined;
}
