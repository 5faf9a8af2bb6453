/**
 * At most one of the tasks with the same `concurrency_key` is leased or running. A unique index makes sure of that. The conditions here pass over
 * tasks whose key is held, so that the index hardly ever has to refuse one. A key is free as soon as no lease holds its task, in whatever way the
 * lease ended.
 */

import { eq, type SQL, sql } from "drizzle-orm";
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { heldStatuses } from "../db/status-lists.ts";
import { llmTasks } from "../db/task-tables.ts";

/** A query for the keys that are held. */
export const heldKeys = sql`select held.concurrency_key from llm_tasks held where held.concurrency_key is not null and held.status in (${heldStatuses})`;

/**
 * True in SQL for a task whose key nobody holds, or that has none. The keys that are held are read once for a statement, and not before a task
 * with a key is met: to pass over 10,000 queued tasks of a held key takes about 10 ms, and to pass
 * over 100,000 of them ten times that.
 */
export const isConcurrencyKeyFree = sql`(${llmTasks.concurrency_key} is null or ${llmTasks.concurrency_key} not in (${heldKeys}))`;

/**
 * True in SQL unless another claim is just taking a task with the same key. It waits for nobody: two claims that wait for each other's keys in
 * the index would be a deadlock. The key is kept until the transaction ends.
 */
export const takesConcurrencyKey = (key: SQL) =>
  sql`(${key} is null or pg_try_advisory_xact_lock(hashtextextended(${key}, 0)))`;

/** The id of the task that holds the key of `task`; undefined when it has no key, or a free one. */
export async function findKeyHolder(db: Db, { concurrency_key }: Task): Promise<string | undefined> {
  if (concurrency_key === null) return undefined;
  const [holder] = await db
    .select({ id: llmTasks.id })
    .from(llmTasks)
    .where(sql`${eq(llmTasks.concurrency_key, concurrency_key)} and ${llmTasks.status} in (${heldStatuses})`);
  return holder?.id;
}
