import { eq, sql } from "drizzle-orm";
import { RESULT_FIELDS } from "../contract/views.ts";
import { auditEntries } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { jsonOf } from "../db/columns.ts";
import { isUuid } from "../db/ids.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import type { Source } from "../db/pages.ts";
import { leases } from "../db/schema.ts";
import { getTask } from "./tasks.ts";

const output = sql`coalesce(${llmResults.output}, (select content from ${runtimeArtifacts} where id = ${llmResults.artifact_id}))`;

/** The results that workers handed in for the task, newest first, with the outputs that PostgreSQL holds. NotFound: no such task. */
export function resultsOf(db: Db, taskId: string): Source {
  return {
    table: llmResults,
    id: llmResults.id,
    time: llmResults.completed_at,
    where: isUuid(taskId) ? eq(llmResults.task_id, taskId) : sql`false`,
    whenEmpty: () => getTask(db, taskId),
    record: jsonOf(RESULT_FIELDS, sql`${output} as output`),
    weight: sql`coalesce(octet_length(${output}), 0) + coalesce(octet_length(${llmResults.error_message}), 0)`,
    order: "newest first",
    isRare: true,
  };
}

/** The audit entries of the task and its leases, oldest first. NotFound: no such task. */
export function historyOf(db: Db, taskId: string): Source {
  const whenEmpty = () => getTask(db, taskId);
  if (!isUuid(taskId)) return { ...auditEntries(sql`false`), whenEmpty };
  const own = sql`select ${taskId}::uuid::text union all select ${leases.id}::text from ${leases} where ${leases.task_id} = ${taskId}`;
  return { ...auditEntries(sql`entity_id = any(array(${own}))`), whenEmpty };
}
