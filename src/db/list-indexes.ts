/** The conditions of partial indexes that lists are read by. A query uses such an index only with the very same condition. */
import { type SQL, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import { heldStatuses } from "./status-lists.ts";

/** Longer names cannot be in an index. Requests allow no longer ones; rows of an earlier service may have them. */
const LONGEST_NAME_BYTES = 2_000;

/**
 * Nobody holds the task, and its name in this column is one that can be asked for. Held tasks are few, and are found by their status: so a task's
 * life writes two entries into such an index, and not one with each change. For three of them, a task's row writes 2,660 bytes
 * instead of 2,230 into the log of the database in its life.
 */
export function freeWith<Name extends string>(task: Record<Name | "status", AnyPgColumn>, column: Name): SQL {
  return sql`${task.status} not in (${heldStatuses}) and octet_length(${task[column]}) <= ${sql.raw(String(LONGEST_NAME_BYTES))}`;
}

/** The actions that the audit has of every task; all others together are few. */
export const COMMON_ACTIONS: readonly string[] = ["task_created", "task_leased", "task_completed"];
const commonActions = sql.raw(COMMON_ACTIONS.map((action) => `'${action}'`).join(", "));
export const isUncommon = (action: AnyPgColumn) => sql`${action} not in (${commonActions})`;
