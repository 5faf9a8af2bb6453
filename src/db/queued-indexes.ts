/** The expressions in the indexes on queued tasks. A query uses such an index only with the very same expression. */
import { sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";

/** The set of labels as an array of their hashes, sorted, by which an index finds the sets within a worker's labels (queue/queue-order.ts). */
export const labelKeyOf = (labels: AnyPgColumn) => sql<string[]>`bloom_runtime.label_key(${labels})`;
type DueColumns = Record<"updated_at" | "not_before" | "retry_at", AnyPgColumn>;
/** When a task is due, in epoch milliseconds; 0 is at once. */
export const dueOf = (task: Omit<DueColumns, "updated_at">) =>
  sql<number>`coalesce(greatest(${task.not_before}, ${task.retry_at}), 0)`;
/** Since when a queued task may be taken: it is queued and due since then. */
export const takeableFrom = (task: DueColumns) =>
  sql<number>`greatest(${task.updated_at}, ${task.not_before}, ${task.retry_at})`;
