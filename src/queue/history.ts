import { asc, desc, eq, getTableColumns, inArray, or, sql } from "drizzle-orm";
import { type AuditEntry, type Result, resultView } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { auditLogs, leases } from "../db/schema.ts";
import { getTask } from "./tasks.ts";

/** What was handed in for the task, the newest first; the output as far as PostgreSQL holds it. NotFound: no such task. */
export async function resultsOf(db: Db, taskId: string): Promise<Result[]> {
  await getTask(db, taskId);
  const rows = await db
    .select({
      ...getTableColumns(llmResults),
      output: sql<string | null>`coalesce(${llmResults.output}, ${runtimeArtifacts.content})`,
    })
    .from(llmResults)
    .leftJoin(runtimeArtifacts, eq(runtimeArtifacts.id, llmResults.artifact_id))
    .where(eq(llmResults.task_id, taskId))
    .orderBy(desc(llmResults.completed_at), desc(llmResults.id));
  return rows.map(resultView);
}

/** What happened to the task and its leases, the oldest first. NotFound: no such task. */
export async function historyOf(db: Db, taskId: string): Promise<AuditEntry[]> {
  const { id } = await getTask(db, taskId);
  const own = db
    .select({ id: sql`${leases.id}::text` })
    .from(leases)
    .where(eq(leases.task_id, id));
  return db
    .select()
    .from(auditLogs)
    .where(or(eq(auditLogs.entity_id, id), inArray(auditLogs.entity_id, own)))
    .orderBy(asc(auditLogs.timestamp), asc(auditLogs.id));
}
