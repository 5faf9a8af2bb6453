import { sql } from "drizzle-orm";
import type { HistoryFilter } from "../contract/filters.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import type { Source } from "../db/list-source.ts";
import { leases } from "../db/task-tables.ts";
import { entriesOf } from "./audit-list.ts";
import { getTask } from "./get-task.ts";

/** The audit entries of the task and its leases that match the filter, oldest first. NotFound: no such task. */
export function historyOf(db: Db, taskId: string, filter: HistoryFilter = {}): Source {
  const whenEmpty = () => getTask(db, taskId);
  if (!isUuid(taskId)) return { ...entriesOf(sql`false`, filter), whenEmpty };
  const own = sql`select ${taskId}::uuid::text union all select ${leases.id}::text from ${leases} where ${leases.task_id} = ${taskId}`;
  return { ...entriesOf(sql`entity_id = any(array(${own}))`, filter), whenEmpty };
}
