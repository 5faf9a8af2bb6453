import { kindOfLastWords, kindOfWholeOutput, withResetTimes } from "../cli/known-messages.ts";
import type { CompleteTask } from "../contract/complete-task.ts";
import { sha256Of } from "../sha256.ts";
import type { StagedOutput } from "../storage/staging.ts";

/** The result that a worker submits, and the SHA-256 of its body, by which the same completion is recognized when it comes again. */
export interface SubmittedResult {
  request: CompleteTask;
  bodySha256: string;
  /** The output may be only a part of what the command printed. */
  incomplete: boolean;
  /** What the CLI printed, where the task has it kept beside the result. */
  transcript?: string | StagedOutput;
}

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
