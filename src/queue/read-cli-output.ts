import { completionFrom } from "../cli/completion-from-output.ts";
import type { CliName } from "../cli/reader-types.ts";
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { readLastPieces } from "../storage/output-pieces.ts";
import { requireStaged } from "../storage/staging.ts";
import { recorded, type SubmittedResult } from "./submitted-result.ts";

/** How much of an uploaded output is read. It is read from its end, where the result is. */
const MOST_READ_BYTES = 32_000_000;
/** The tag of an artifact whose output was not UTF-8: bytes that could not be read became U+FFFD. */
const REPLACED = "invalid_utf8_replaced";

/**
 * Reads what the CLI printed, which came in the completion or was uploaded before, and gives the result that it amounts to. Conflict: there is
 * no output `output_id` under the lease.
 */
export async function readPrinted(db: Db, task: Task, sent: SubmittedResult, cli: CliName): Promise<SubmittedResult> {
  const { request } = sent;
  const { output, output_id, lease_id, artifact_tags } = request;
  const about = { taskId: task.id, leaseId: lease_id ?? task.lease_id };
  const source = output_id === undefined ? output : await requireStaged(db, output_id, about);
  const isUploaded = source !== null && typeof source !== "string";
  const read = await completionFrom(request, cli, isUploaded ? lastOf(db, source.id) : [source ?? ""]);
  const tags = isUploaded && source.is_utf8 === false ? [...artifact_tags, REPLACED] : artifact_tags;
  return {
    ...recorded({ ...read, artifact_tags: tags }, sent.incomplete),
    bodySha256: sent.bodySha256,
    ...(task.keep_transcript && source !== null && { transcript: source }),
  };
}

async function* lastOf(db: Db, outputId: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of readLastPieces(db, outputId, MOST_READ_BYTES))
    yield decoder.decode(piece, { stream: true });
  yield decoder.decode();
}
