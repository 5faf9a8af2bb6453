import { type SQL, sql } from "drizzle-orm";
import type { Attention } from "../contract/overview.ts";
import { auditLogs, isUuidText } from "../db/audit-table.ts";
import type { Db } from "../db/client.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import { isUncommon } from "../db/partial-index-conditions.ts";
import { REQUEUEABLE_STATUSES, type TaskStatus } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { tasks } from "./task-list.ts";

/** How many rows of each kind are looked at. */
const LOOKED_AT = 200;

/** The statuses stand in the text of the query, so that the planner knows how many rows they have. */
const wordOf = (status: TaskStatus) => sql.raw(`'${status}'`);
const newestOf = (status: TaskStatus): SQL =>
  sql`(select id from llm_tasks where status = ${wordOf(status)} order by created_at desc, id desc limit ${LOOKED_AT})`;

/**
 * The last `limit` failures: tasks that are failed or dead, slim, the last that became so first. Such a task keeps the `updated_at` of its failure.
 *
 * No index has that order. So this looks at the tasks of the newest artifacts, which every attempt with a result makes, at those that were queued
 * again or died lately, and at the newest tasks of each state. What it may miss is a task that is older than 200 others of its state, was never queued
 * again, and failed before 200 later attempts ended. Over a million tasks this took 3 ms.
 */
export async function findLatelyFailed(db: Db, limit: number): Promise<Attention["failures"]> {
  const { rows } = await db.execute<{ task: Attention["failures"][number] }>(sql`
    with uncommon as (
      select action, entity_type, entity_id from ${auditLogs} where ${isUncommon(auditLogs.action)}
      order by ${auditLogs.seq} desc limit ${LOOKED_AT}
    ), looked_at as (
      (select task_id as id from ${runtimeArtifacts} order by created_at desc, ${runtimeArtifacts.id} desc limit ${LOOKED_AT})
      union select case when ${isUuidText(sql`entity_id`)} then entity_id::uuid end from uncommon
        where entity_type = 'llm_task' and action in ('task_requeued', 'task_dead')
      union ${sql.join(REQUEUEABLE_STATUSES.map(newestOf), sql` union `)}
    ), found as (
      select id, updated_at from ${llmTasks} where id in (select id from looked_at)
        and status in (${sql.join(REQUEUEABLE_STATUSES.map(wordOf), sql`, `)})
      order by updated_at desc, id desc limit ${limit}
    )
    select (select ${tasks({}, "slim").record} from ${llmTasks} where ${llmTasks.id} = found.id) as task
    from found order by updated_at desc, id desc`);
  return rows.map(({ task }) => task);
}
