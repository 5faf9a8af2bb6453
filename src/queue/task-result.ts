import { desc, eq, sql } from "drizzle-orm";
import type { Task, TaskWithResult } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import type { Metrics } from "../db/json-types.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { resultColumns } from "./answer-to-completion.ts";
import { artifactColumns } from "./artifacts.ts";
import { hasEnded } from "./fence.ts";
import { getTask } from "./get-task.ts";

/** In SQL, the results that the task's last lease brought. Adopted results do not know their lease. */
const isAccepted = ({ id, lease_id }: Task) =>
  sql`${llmResults.task_id} = ${id} and ${llmResults.accepted} and (${llmResults.lease_id} is null or ${llmResults.lease_id} = ${lease_id}::uuid)`;

/** What the last attempt of a task that has ended took; undefined where it had no result. */
export async function getMetrics(db: Db, task: Task): Promise<Metrics | undefined> {
  const [found] = await db
    .select({ metrics: llmResults.metrics })
    .from(llmResults)
    .where(isAccepted(task))
    .orderBy(desc(llmResults.completed_at))
    .limit(1);
  return found?.metrics;
}

/** The task with the result that its last lease brought. NotFound: no such task. */
export async function getTaskWithResult(db: Db, taskId: string): Promise<TaskWithResult> {
  const task = await getTask(db, taskId);
  if (!hasEnded(task)) return { task, result: null, artifact: null };
  const [found] = await db
    .select({ result: resultColumns, output: llmResults.output, artifact: artifactColumns })
    .from(llmResults)
    .leftJoin(runtimeArtifacts, eq(runtimeArtifacts.id, llmResults.artifact_id))
    .where(isAccepted(task))
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
