/** The expressions in the indexes on queued tasks. A query uses such an index only with the very same expression. */

import type { SQL } from "drizzle-orm";
import { sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";

/**
 * The set of labels as an array of their hashes, sorted, by which an index finds the sets within a worker's
 * labels (`labelSetsWithin`, fleet/matching.ts).
 */
export const labelSetIdOf = (labels: AnyPgColumn) => sql<string[]>`bloom_runtime.label_key(${labels})`;
/** How many milliseconds of age a task gains with each step of its priority. */
const MS_PER_PRIORITY = 60_000;
/** The order in which tasks are handed out, the lowest first: when the task was created, less a minute for each step of its priority. */
export const sortTimeOf = (task: Record<"created_at" | "priority", AnyPgColumn | SQL>) =>
  sql<number>`(${task.created_at} - ${task.priority} * ${sql.raw(String(MS_PER_PRIORITY))}::bigint)`;
/** The concurrency key; without one the empty text, which no key is. The planner knows no order behind "concurrency_key is null". */
export const keyNameOf = (task: Record<"concurrency_key", AnyPgColumn>) =>
  sql<string>`coalesce(${task.concurrency_key}, '')`;
type DueColumns = Record<"updated_at" | "not_before" | "retry_at", AnyPgColumn>;
/** When a task is due, in epoch milliseconds; 0 is at once. */
export const dueOf = (task: Omit<DueColumns, "updated_at">) =>
  sql<number>`coalesce(greatest(${task.not_before}, ${task.retry_at}), 0)`;
/** Since when a queued task may be taken: it is queued and due since then. */
export const takeableFrom = (task: DueColumns) =>
  sql<number>`greatest(${task.updated_at}, ${task.not_before}, ${task.retry_at})`;
