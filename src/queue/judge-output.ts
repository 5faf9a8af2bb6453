import type { CompleteTask } from "../contract/complete-task.ts";
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { checkOutput } from "../output-schema/check.ts";
import { readLastPieces } from "../storage/output-pieces.ts";
import { requireStaged } from "../storage/staging.ts";
import type { SubmittedResult } from "./submitted-result.ts";

/** A larger output is refused unchecked, as a `parse_error`. */
const LARGEST_BYTES = 10_000_000;

/**
 * Checks the output of a success against the task's `output_schema`, and gives the result as it counts. An output that does not fit makes it a
 * `parse_error` that names the first faults and keeps the output. A schema that cannot be used makes it `invalid_input`, since another attempt would
 * not help.
 */
export async function judgeOutput(db: Db, task: Task, submitted: SubmittedResult): Promise<SubmittedResult> {
  const { request } = submitted;
  const { output_schema: schema } = task;
  if (schema === null || request.status !== "success") return submitted;
  const text = await outputOf(db, task, request);
  const { schemaFault, outputFaults } =
    text === undefined
      ? { outputFaults: [`it is not one of ${LARGEST_BYTES} bytes at most`] }
      : await checkOutput(schema, text, { of: task.worker_id ?? "" });
  if (schemaFault !== undefined)
    return failed(submitted, "invalid_input", `The output cannot be checked against output_schema: ${schemaFault}`);
  if (outputFaults === undefined) return submitted;
  return failed(submitted, "parse_error", `The output does not fit output_schema: ${outputFaults.join("; ")}`);
}

const failed = (
  submitted: SubmittedResult,
  error_kind: "invalid_input" | "parse_error",
  error_message: string,
): SubmittedResult => ({
  ...submitted,
  request: { ...submitted.request, status: "error", error_kind, error_message },
});

async function outputOf(
  db: Db,
  task: Task,
  { output, output_id, lease_id }: CompleteTask,
): Promise<string | undefined> {
  if (output_id === undefined)
    return output !== null && Buffer.byteLength(output) <= LARGEST_BYTES ? output : undefined;
  const { id, size_bytes } = await requireStaged(db, output_id, {
    taskId: task.id,
    leaseId: lease_id ?? task.lease_id,
  });
  if (size_bytes > LARGEST_BYTES) return undefined;
  const pieces: Buffer[] = [];
  for await (const piece of readLastPieces(db, id, LARGEST_BYTES)) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}
