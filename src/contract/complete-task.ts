/** What a worker may send to complete a task. */
import { createInsertSchema } from "drizzle-zod";
import { z } from "zod";
import { CLI_NAMES } from "../cli/reader-types.ts";
import { ERROR_KINDS } from "../db/kinds.ts";
import { llmResults } from "../db/output-tables.ts";
import { leaseId, longText, optional, present, text, texts } from "./request-fields.ts";

const epochMs = z.int().min(0).max(8.64e15);
const tokens = (description: string) => optional(z.int().min(0).max(Number.MAX_SAFE_INTEGER)).describe(description);
const name = (description: string) => optional(text(256)).describe(description);

/** What an attempt took. A figure that node agents send as null, such as `tokens_used`, is not stored. */
const metrics = z
  .object({
    duration_ms: z
      .int()
      .min(0)
      .meta({ description: "How long the attempt ran, in milliseconds.", examples: [8_400] }),
    tokens_used: tokens("Tokens of all kinds."),
    model: name("The model that answered."),
    provider: name("The provider of the model."),
    input_tokens: tokens("Tokens of the prompt."),
    output_tokens: tokens("Tokens of the answer."),
    cache_read_tokens: tokens("Tokens of the prompt that the provider had in its cache."),
    cache_write_tokens: tokens("Tokens of the prompt that the provider put into its cache."),
    cost_usd: optional(z.number().min(0).max(1_000_000)).describe("An estimate of the cost, in US dollars."),
    num_turns: optional(z.int().min(0).max(1_000_000)).describe("Turns of the model."),
    session_id: name("The CLI's session, which a later task of the context may go on with."),
    denied_tools: optional(z.array(text(128)).max(16)).describe(
      "The tools that the CLI wanted to use and was not allowed to, each name once.",
    ),
  })
  .transform(present);

const usageWindow = z.object({
  used: z.number().min(0).nullable().describe("The used share, from 0 to 1; null: not known."),
  resets_at: epochMs.nullable().describe("When the window begins anew, in epoch milliseconds; null: not known."),
});

const completion = createInsertSchema(llmResults, {
  status: (column) => column.describe("How the attempt ended. With `cli` it may be left out."),
  output: longText.nullable().default(null).describe("The output, as text. `MAX_BODY_MB` bounds the whole request."),
  error_message: text(1_000_000).nullable().default(null).describe("What went wrong, in the worker's words."),
  error_kind: z
    .enum(ERROR_KINDS)
    .nullable()
    .default(null)
    .describe("Why an attempt failed. docs/outcomes.md says what follows from each kind."),
  metrics: metrics.describe("What the attempt took."),
})
  .pick({ status: true, output: true, error_message: true, error_kind: true, metrics: true })
  .extend({
    artifact_type: text(128).min(1).default("LLM_RESULT").describe("What the artifact of the output is."),
    artifact_tags: texts(1_000, 256).describe("The worker's own words for the artifact."),
    lease_id: optional(leaseId).describe(
      "The lease under which the worker has the task; it may also be sent as `X-Lease-Id`.",
    ),
    output_id: optional(z.guid("must be a UUID").toLowerCase()).describe(
      "An output that was uploaded before, in place of `output`.",
    ),
    cli: optional(z.enum(CLI_NAMES)).describe(
      "The output is what this program printed, and the service reads it (docs/clis.md).",
    ),
    exit_code: optional(z.int().min(-0x8000_0000).max(0xffff_ffff)).describe(
      "How the CLI's command ended; none where the worker ended it.",
    ),
    partial_output: optional(longText).describe(
      "What there was of the output when the attempt failed, in place of `output`.",
    ),
    retryable: z
      .boolean()
      .nullish()
      .transform((value) => value ?? true)
      .describe("False: to try the task again would not help, whatever its `retry` says."),
    resets_at: optional(epochMs).describe("Of `rate_limited`: when the account's limit ends, in epoch milliseconds."),
    retry_after_ms: optional(z.int().min(0).max(1_000_000_000)).describe(
      "Of `rate_limited`: when the account's limit ends, in milliseconds from now.",
    ),
    windows: optional(
      z.record(text(64).min(1), usageWindow).refine((all) => Object.keys(all).length <= 16, "are 16 at most"),
    ).describe("What the CLI said of its account's allowance: 16 windows at most, by the provider's names."),
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

const EXAMPLE = {
  status: "success",
  output: "Old pond, new frog.",
  metrics: { duration_ms: 8_400 },
  lease_id: "0199a6f2-1c7b-7d3e-9a54-2f6b8c1d0e4a",
};

/** With `cli`, `status` may be left out: the output decides on it, and what the worker says is only how the command ended. */
export const completeTaskBody = z.preprocess(
  (body) => {
    if (typeof body !== "object" || body === null || !("cli" in body) || ("status" in body && body.status !== null))
      return body;
    return { ...body, status: "exit_code" in body && body.exit_code === 0 ? "success" : "error" };
  },
  completion.meta({ required: ["metrics"], examples: [EXAMPLE] }),
);

type Body = z.output<typeof completeTaskBody>;
type Given = { [K in keyof Body]: undefined extends Body[K] ? never : K }[keyof Body];
/** A completion as it was checked. What may be undefined may also be left out. */
export type CompleteTask = Partial<Body> & Pick<Body, Given>;
