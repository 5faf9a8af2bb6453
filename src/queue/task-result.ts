import { and, desc, eq, sql } from "drizzle-orm";
import type { TaskWithResult } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { artifactColumns } from "./artifacts.ts";
import { hasEnded } from "./fence.ts";
import { getTask } from "./one-task.ts";
import { resultColumns } from "./submitted-result.ts";

/** The task with the result that its last lease brought. NotFound: no such task. */
export async function getTaskWithResult(db: Db, taskId: string): Promise<TaskWithResult> {
  const task = await getTask(db, taskId);
  if (!hasEnded(task)) return { task, result: null, artifact: null };
  // Adopted results do not know their lease.
  const isOfLastLease = sql`(${llmResults.lease_id} is null or ${llmResults.lease_id} = ${task.lease_id}::uuid)`;
  const [found] = await db
    .select({ result: resultColumns, output: llmResults.output, artifact: artifactColumns })
    .from(llmResults)
    .leftJoin(runtimeArtifacts, eq(runtimeArtifacts.id, llmResults.artifact_id))
    .where(and(eq(llmResults.task_id, task.id), eq(llmResults.accepted, true), isOfLastLease))
    .orderBy(desc(llmResults.completed_at))
    .limit(1);
  if (!found) return { task, result: null, artifact: null };
  const { result, output, artifact } = found;
  return {
    task,
    result: { ...result, output: output ?? artifact?.content ?? null },
    artifact: artifact && { ...artifact, accepted: true },
  };
}
