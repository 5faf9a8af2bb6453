/** What a worker may send to complete a task. */
import { createInsertSchema } from "drizzle-zod";
import { z } from "zod";
import { CLI_NAMES } from "../cli/reader.ts";
import { ERROR_KINDS } from "../db/column-values.ts";
import { llmResults } from "../db/output-tables.ts";
import { leaseId, longText, optional, present, text, texts } from "./fields.ts";

const epochMs = z.int().min(0).max(8.64e15);
const tokens = optional(z.int().min(0).max(Number.MAX_SAFE_INTEGER));
const name = optional(text(256));

/** What an attempt took. What the node agents send as null, as `tokens_used`, is absent once it is stored. */
const metrics = z
  .object({
    duration_ms: z.int().min(0),
    tokens_used: tokens,
    model: name,
    provider: name,
    input_tokens: tokens,
    output_tokens: tokens,
    cache_read_tokens: tokens,
    cache_write_tokens: tokens,
    cost_usd: optional(z.number().min(0).max(1_000_000)),
    num_turns: optional(z.int().min(0).max(1_000_000)),
    session_id: name,
  })
  .transform(present);

const usageWindow = z.object({ used: z.number().min(0).nullable(), resets_at: epochMs.nullable() });

const completion = createInsertSchema(llmResults, {
  output: longText.nullable().default(null),
  error_message: text(1_000_000).nullable().default(null),
  error_kind: z.enum(ERROR_KINDS).nullable().default(null),
  metrics,
})
  .pick({ status: true, output: true, error_message: true, error_kind: true, metrics: true })
  .extend({
    artifact_type: text(128).min(1).default("LLM_RESULT"),
    artifact_tags: texts(1_000, 256),
    lease_id: optional(leaseId),
    /** An output that was uploaded before (PUT …/output), in place of `output`. */
    output_id: optional(z.guid("must be a UUID").toLowerCase()),
    /** The output is what this program printed, and the runtime reads it (cli/read-cli.ts). */
    cli: optional(z.enum(CLI_NAMES)),
    /** How its command ended; none where the worker ended it. */
    exit_code: optional(z.int().min(-0x8000_0000).max(0xffff_ffff)),
    /** What there was of the output when the attempt failed. */
    partial_output: optional(longText),
    /** False: the task's `retry` does not help. */
    retryable: z
      .boolean()
      .nullish()
      .transform((value) => value ?? true),
    /** When the account's limit ends, or how long from now; for `rate_limited`. */
    resets_at: optional(epochMs),
    retry_after_ms: optional(z.int().min(0).max(1_000_000_000)),
    /** What the CLI said of its account's allowance. */
    windows: optional(
      z.record(text(64).min(1), usageWindow).refine((all) => Object.keys(all).length <= 16, "are 16 at most"),
    ),
  })
  .refine(({ output, output_id }) => output === null || output_id === undefined, {
    path: ["output_id"],
    message: "names an output that was uploaded; send it or `output`, not both",
  })
  .refine(({ status, error_kind }) => status === "error" || error_kind === null, {
    path: ["error_kind"],
    message: "says why an attempt failed; a success has none",
  })
  .refine(
    ({ output, output_id, partial_output }) =>
      partial_output === undefined || (output === null && output_id === undefined),
    {
      path: ["partial_output"],
      message: "is the output of a failure; send it, `output` or `output_id`, not more than one",
    },
  );

/** With `cli`, the output decides on the status, and what the worker says of it is only how the command ended. */
export const completeTask = z.preprocess((body) => {
  if (typeof body !== "object" || body === null || !("cli" in body) || ("status" in body && body.status !== null))
    return body;
  return { ...body, status: "exit_code" in body && body.exit_code === 0 ? "success" : "error" };
}, completion);

export type CompleteTask = z.output<typeof completeTask>;
