import { eq } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import { type Artifact, type Result, resultView, type Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/rows.ts";
import { Conflict } from "../errors.ts";
import { sha256Of } from "../storage/hash.ts";
import { findLease, isHeld, isOver, requireHeld, staleLease } from "./fence.ts";

/** What a worker hands in, and the SHA-256 by which it is known when it comes again. */
export interface Handover {
  request: CompleteTask;
  bodySha256: string;
  /** The output is known to be a part at best. */
  incomplete: boolean;
}

/** What the worker is answered. */
export interface Completion {
  task: Task;
  artifact: Artifact;
  result: Result;
}

/** Schemas give their fields in one order, so that equal bodies have equal text. The fence is not part of it. */
export function handoverOf(request: CompleteTask, incomplete: boolean): Handover {
  const { lease_id: _fence, ...body } = request;
  return { request, bodySha256: sha256Of(JSON.stringify(body)), incomplete };
}

/** The completion, for the audit. */
export function detailOf({ status, metrics }: CompleteTask, artifactId: string): string {
  return `Status: ${status}, artifact: ${artifactId}, duration: ${metrics.duration_ms}ms`;
}

/** What an earlier completion under this lease was answered. Conflict: it had another body, or came too late. */
export async function findEarlier(
  db: Db,
  task: Task,
  { request, bodySha256 }: Handover,
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

/** The result names the output that the worker sent; of an uploaded one, what PostgreSQL holds as text. */
export function answerTo({ output }: CompleteTask, task: Task, artifact: ArtifactRow, result: Result): Completion {
  const accepted = result.accepted && isOver(task) && task.lease_id === result.lease_id;
  return {
    task,
    artifact: { ...artifact, accepted },
    result: { ...resultView(result), output: output ?? artifact.content },
  };
}

/**
 * Whose result this is. `late` is one under a lease that was swept: a success is still worth keeping (lifecycle.md, invariant 8), an error
 * is not. Conflict: neither holds the task nor did.
 */
export async function holderFor(tx: Db, task: Task, { lease_id: leaseId, status }: CompleteTask) {
  if (leaseId === undefined) requireHeld(task);
  if (isHeld(task) && task.lease_id && task.worker_id && (leaseId ?? task.lease_id) === task.lease_id)
    return { leaseId: task.lease_id, workerId: task.worker_id, late: false };
  const lease = await findLease(tx, task.id, leaseId ?? "");
  if (lease?.status !== "expired" || status !== "success") throw staleLease(leaseId);
  return { leaseId: lease.id, workerId: lease.worker_id, late: true };
}

/** The answer to a success that came when the task had gone on without it. */
export function tooLate(artifactId: string): Conflict {
  return new Conflict(
    `The lease had ended and the task has gone on without it. The output is kept as artifact ${artifactId}, but it is not the task's result.`,
  );
}
