/** What both ways of completing a task share: what a worker submits, what it is answered, and which lease the result belongs to. */
import { eq } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import { type Artifact, type Result, resultView, type Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/rows.ts";
import { Conflict } from "../errors.ts";
import { sha256Of } from "../sha256.ts";
import { findLease, hasEnded, isHeld, requireHeld, staleLease } from "./fence.ts";

/** What a worker submits, and the SHA-256 of its body, by which the same completion is recognized when it comes again. */
export interface Submission {
  request: CompleteTask;
  bodySha256: string;
  /** The output is known to be only a part of the whole, if it is not all of it. */
  incomplete: boolean;
}

/** The answer to a completion. */
export interface Completion {
  task: Task;
  artifact: Artifact;
  result: Result;
}

/** The hash leaves out the lease. Equal bodies have equal text, since a schema puts their fields into one order. */
export function submissionOf(request: CompleteTask, incomplete: boolean): Submission {
  const { lease_id: _fence, ...body } = request;
  return { request, bodySha256: sha256Of(JSON.stringify(body)), incomplete };
}

/** The detail of a completion's audit entry. */
export function detailOf({ status, metrics }: CompleteTask, artifactId: string): string {
  return `Status: ${status}, artifact: ${artifactId}, duration: ${metrics.duration_ms}ms`;
}

/** The answer to an earlier completion under the same lease, if there was one. Conflict: it had another body, or came too late. */
export async function findEarlier(
  db: Db,
  task: Task,
  { request, bodySha256 }: Submission,
): Promise<Completion | undefined> {
  const { lease_id: leaseId } = request;
  if (leaseId === undefined || !(await findLease(db, task.id, leaseId))) return undefined;
  const [found] = await db
    .select({ result: llmResults, artifact: runtimeArtifacts })
    .from(llmResults)
    .innerJoin(runtimeArtifacts, eq(runtimeArtifacts.id, llmResults.artifact_id))
    .where(eq(llmResults.lease_id, leaseId));
  if (!found) return undefined;
  if (found.result.body_sha256 !== bodySha256)
    throw new Conflict(`Lease ${leaseId} was completed before with another body; that result stands.`);
  if (!found.result.accepted) throw tooLate(found.artifact.id);
  return answerTo(request, task, found.artifact, found.result);
}

/** Builds an answer from stored rows. The result carries the output that the worker sent; for an uploaded one, the text that PostgreSQL holds. */
export function answerTo({ output }: CompleteTask, task: Task, artifact: ArtifactRow, result: Result): Completion {
  const accepted = result.accepted && hasEnded(task) && task.lease_id === result.lease_id;
  return {
    task,
    artifact: { ...artifact, accepted },
    result: { ...resultView(result), output: output ?? artifact.content },
  };
}

/**
 * The lease and the worker to which a completion belongs. `late` means that the lease was swept: a success is still kept then (lifecycle.md,
 * invariant 8), an error is not. Conflict: the lease neither holds nor held the task.
 */
export async function holderFor(tx: Db, task: Task, { lease_id: leaseId, status }: CompleteTask) {
  if (leaseId === undefined) requireHeld(task);
  if (isHeld(task) && task.lease_id && task.worker_id && (leaseId ?? task.lease_id) === task.lease_id)
    return { leaseId: task.lease_id, workerId: task.worker_id, late: false };
  const lease = await findLease(tx, task.id, leaseId ?? "");
  if (lease?.status !== "expired" || status !== "success") throw staleLease(leaseId);
  return { leaseId: lease.id, workerId: lease.worker_id, late: true };
}

/** The answer to a success that came after its lease had ended and the task had gone on. */
export function tooLate(artifactId: string): Conflict {
  return new Conflict(
    `The lease had ended and the task has gone on without it. The output is kept as artifact ${artifactId}, but it is not the task's result.`,
  );
}
