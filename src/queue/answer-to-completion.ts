/** What a completion is answered, from stored rows: now, again for the same completion, and when it came too late. */
import { eq } from "drizzle-orm";
import type { CompleteTask } from "../contract/complete-task.ts";
import {
  type Completed,
  RESULT_FIELDS,
  type StoredArtifact,
  type StoredResult,
  type Task,
} from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { pickColumns } from "../db/column-lists.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { Conflict } from "../errors.ts";
import { artifactColumns } from "./artifacts.ts";
import { findLease, hasEnded } from "./fence.ts";
import type { SubmittedResult } from "./submitted-result.ts";

/** The columns of a result that answers show. */
export const resultColumns = pickColumns(llmResults, RESULT_FIELDS);

/** The answer to an earlier completion under the same lease, if there was one. Conflict: it had another body, or came too late. */
export async function findEarlier(
  db: Db,
  task: Task,
  { request, bodySha256 }: SubmittedResult,
): Promise<Completed | undefined> {
  const { lease_id: leaseId } = request;
  if (leaseId === undefined || !(await findLease(db, task.id, leaseId))) return undefined;
  const [found] = await db
    .select({ result: { ...resultColumns, body_sha256: llmResults.body_sha256 }, artifact: artifactColumns })
    .from(llmResults)
    .innerJoin(runtimeArtifacts, eq(runtimeArtifacts.id, llmResults.artifact_id))
    .where(eq(llmResults.lease_id, leaseId));
  if (!found) return undefined;
  const { body_sha256: earlierSha256, ...result } = found.result;
  if (earlierSha256 !== bodySha256)
    throw new Conflict(`Lease ${leaseId} was completed before with another body; that result stands.`);
  if (!result.accepted) throw tooLate(found.artifact.id);
  return answerTo(request, task, found.artifact, result);
}

/** Builds an answer from stored rows. The result carries the output that the worker sent; for an uploaded one, the text that PostgreSQL holds. */
export function answerTo(
  { output }: CompleteTask,
  task: Task,
  artifact: StoredArtifact,
  result: StoredResult,
): Completed {
  const accepted = result.accepted && hasEnded(task) && task.lease_id === result.lease_id;
  return {
    task,
    artifact: { ...artifact, accepted },
    result: { ...result, output: output ?? artifact.content },
  };
}

/** The answer to a success that came after its lease had ended and the task had gone on. */
export function tooLate(artifactId: string): Conflict {
  return new Conflict(
    `The lease had ended and the task has gone on without it. The output is kept as artifact ${artifactId}, but it is not the task's result.`,
  );
}
