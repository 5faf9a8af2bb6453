/** The conditions of partial indexes that lists are read by. A query uses such an index only with the very same condition. */
import { type SQL, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import { heldStatuses } from "./status-lists.ts";

/** Longer names cannot be in an index. Requests allow no longer ones; rows of an earlier service may have them. */
const LONGEST_NAME_BYTES = 2_000;

/**
 * True in SQL for a task that nobody holds, and whose value of `column` is short enough for an index. Held tasks are few, and are found by their
 * status. Since they are not in such an index, a task's life writes two entries into it, and not one at each change: for three such indexes, that is
 * 430 bytes of the database's log for each task.
 */
export function freeWith<Name extends string>(task: Record<Name | "status", AnyPgColumn>, column: Name): SQL {
  return sql`${task.status} not in (${heldStatuses}) and octet_length(${task[column]}) <= ${sql.raw(String(LONGEST_NAME_BYTES))}`;
}

/** The actions that every task has in the audit. All other entries together are few. */
export const COMMON_ACTIONS: readonly string[] = ["task_created", "task_leased", "task_completed"];
const commonActions = sql.raw(COMMON_ACTIONS.map((action) => `'${action}'`).join(", "));
export const isUncommon = (action: AnyPgColumn) => sql`${action} not in (${commonActions})`;
