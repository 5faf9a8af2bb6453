/**
 * A result as a worker submits it. Both ways of completing a task share this: what is recorded, what is
 * answered, and which lease the result belongs to.
 */
import { eq } from "drizzle-orm";
import { kindOfLastWords, kindOfWholeOutput, withResetTimes } from "../cli/known-messages.ts";
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
import { sha256Of } from "../sha256.ts";
import type { StagedOutput } from "../storage/staging.ts";
import { artifactColumns } from "./artifacts.ts";
import { findLease, hasEnded, isHeld, requireHeld, staleLease } from "./fence.ts";

/** The result that a worker submits, and the SHA-256 of its body, by which the same completion is recognized when it comes again. */
export interface SubmittedResult {
  request: CompleteTask;
  bodySha256: string;
  /** The output may be only a part of what the command printed. */
  incomplete: boolean;
  /** What the CLI printed, where the task has it kept beside the result. */
  transcript?: string | StagedOutput;
}

/** The columns of a result that answers show. */
export const resultColumns = pickColumns(llmResults, RESULT_FIELDS);

/**
 * What `sent` is recorded as. An error without a kind gets the kind that its message tells, and a success that is nothing but a message about the
 * account becomes such an error. Schemas give their fields in one order, so that equal bodies have equal text; the fence is not part of it.
 */
export function submittedResultOf(sent: CompleteTask, incomplete: boolean): SubmittedResult {
  const { lease_id: _fence, ...body } = sent;
  return { ...recorded(withToldKind(sent), incomplete), bodySha256: sha256Of(JSON.stringify(body)) };
}

/** The request as it is recorded: a `partial_output` becomes its output, which is then incomplete. */
export function recorded(request: CompleteTask, incomplete: boolean): Pick<SubmittedResult, "request" | "incomplete"> {
  const { partial_output } = request;
  if (partial_output === undefined) return { request, incomplete };
  return { request: { ...request, output: partial_output }, incomplete: true };
}

function withToldKind(request: CompleteTask): CompleteTask {
  const { cli, status, error_kind, error_message, output, partial_output, resets_at } = request;
  if (cli !== undefined || error_kind !== null) return request;
  const inOutput = kindOfWholeOutput(output ?? partial_output ?? "");
  const told = status === "error" ? (kindOfLastWords(error_message ?? "") ?? inOutput) : inOutput;
  if (!told) return request;
  return {
    ...request,
    status: "error",
    error_kind: told.kind,
    error_message: error_message ?? output,
    resets_at: resets_at ?? told.resetsAtMs,
  };
}

/** How much of an error's message stands in its audit entry, in UTF-16 units. */
const MESSAGE_BEGINNING = 200;

/** `, <kind>: <the beginning of the message, in one line>`, of what there is; empty for a success. */
function faultIn({ status, error_kind, error_message }: CompleteTask): string {
  if (status === "success") return "";
  const message = withResetTimes(error_message ?? "")
    .trim()
    .replace(/\s+/g, " ");
  const beginning =
    message.length <= MESSAGE_BEGINNING ? message : `${message.slice(0, MESSAGE_BEGINNING - 1).toWellFormed()}…`;
  const known = [error_kind, beginning].filter(Boolean);
  return known.length > 0 ? `, ${known.join(": ")}` : "";
}

/**
 * The detail of a completion's audit entry. Of an error it says what went wrong, and of any result which tools the CLI was not allowed to use, since
 * the output may say no more than that.
 */
export function detailOf(request: CompleteTask, artifactId: string): string {
  const { status, metrics } = request;
  const { duration_ms, denied_tools: denied = [] } = metrics;
  const tools = denied.length > 0 ? `, tools not allowed: ${denied.join(", ")}` : "";
  return `Status: ${status}, artifact: ${artifactId}, duration: ${duration_ms}ms${faultIn(request)}${tools}`;
}

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
