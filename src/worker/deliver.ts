import type { Completed, CompleteTaskArgs } from "../client/index.ts";
import type { CliName } from "./cli-command.ts";
import { type Answer, fileBytes, isRecord, type RuntimeClient, type Work } from "./runtime-client.ts";
import type { TaskFolder } from "./task-folder.ts";

/** Longer outputs are uploaded in a call of their own: in JSON they may be larger than the runtime takes. */
const LARGEST_IN_JSON_BYTES = 1_000_000;
const COMPLETION_WITHIN_MS = 60_000;
const UPLOAD_WITHIN_MS = 3_600_000;

/** The outcome of the command. `fault` says why it failed; undefined is a success. */
export interface RunOutcome {
  fault: string | undefined;
  isTimeout: boolean;
  /** The CLI that printed the output, which the runtime then reads. */
  cli: CliName | undefined;
  /** Null where the worker ended the command. */
  exitCode: number | null;
  durationMs: number;
}

/** The runtime's answer, and what was sent to it. */
export type HandIn = Answer<Completed> & { handedIn: string };

/**
 * Delivers the result, and tries until the runtime has decided on it. A small output that is text goes into the completion. Any other output is
 * uploaded as it is, and so is one with which the completion was too large. If the runtime refuses the upload too, the task is completed with an
 * error that says so. Every error has the last words of the command. Calls `onMiss` and throws as `insist` does.
 */
export async function deliver(
  client: RuntimeClient,
  { task, lease }: Work,
  folder: TaskFolder,
  { fault, isTimeout, cli, exitCode, durationMs }: RunOutcome,
  giveUp: AbortSignal,
  onMiss?: (status: number, error: string) => void,
): Promise<HandIn> {
  const complaint = await folder.complaint();
  const errorOf = (what: string) =>
    ({ status: "error", error_message: `The command ${what}${complaint && `: ${complaint}`}` }) as const;
  const result: Partial<CompleteTaskArgs> = {
    ...(fault === undefined ? { status: "success" } : errorOf(fault)),
    ...(isTimeout && { error_kind: "timeout" }),
    ...(cli && { cli, ...(exitCode !== null && { exit_code: exitCode }) }),
  };
  const complete = async (outcome: Partial<CompleteTaskArgs>, handedIn: string): Promise<HandIn> => {
    const completion = { ...outcome, id: task.id, lease_id: lease.id, metrics: { duration_ms: durationMs } };
    const answer = await client.insist(
      (runtime, signal) => runtime.completeTask(completion, { signal }),
      COMPLETION_WITHIN_MS,
      giveUp,
      isRecord,
      onMiss,
    );
    return { ...answer, handedIn };
  };

  const sizeBytes = await folder.outputBytes();
  const text = sizeBytes <= LARGEST_IN_JSON_BYTES ? await folder.outputText() : undefined;
  if (text !== undefined) {
    // A failure that printed nothing is sent with the output null, and a success that printed nothing with an empty one.
    const output = text === "" && fault !== undefined ? null : text;
    const completed = await complete({ ...result, output }, `${sizeBytes} bytes in JSON`);
    if (!isTooMuch(completed)) return completed;
  }
  const uploaded = await client.insist(
    // What a command has left behind may still change the file, so each attempt measures it.
    async (runtime, signal) =>
      runtime.uploadOutput(
        { id: task.id, bytes: fileBytes(folder.outputFile, await folder.outputBytes()) },
        { signal, headers: { "X-Lease-Id": lease.id } },
      ),
    UPLOAD_WITHIN_MS,
    giveUp,
    (value) => isRecord(value) && typeof value.output_id === "string",
    onMiss,
  );
  if (uploaded.ok) return complete({ ...result, output_id: uploaded.value.output_id }, `${sizeBytes} bytes uploaded`);
  const handedIn = `an error, since the output of ${sizeBytes} bytes was refused`;
  if (!isTooMuch(uploaded)) return { ...uploaded, handedIn };
  const refused = `the runtime refused the output (${uploaded.status}) of ${sizeBytes} bytes`;
  return complete(errorOf(fault === undefined ? `ended well, but ${refused}` : `${fault}, and ${refused}`), handedIn);
}

function isTooMuch(answer: Answer<unknown>): boolean {
  return !answer.ok && (answer.status === 400 || answer.status === 413);
}
