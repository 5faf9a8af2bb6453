/** The fields of a creation: what a client may say of a task, with the bounds and the meaning of each. */
import { z } from "zod";
import { DESIRED_FORMATS } from "../db/kinds.ts";
import type { TaskRow } from "../db/row-types.ts";
import { httpUrl, json, jsonObject, longText, optional, text, texts } from "./request-fields.ts";

const labels = z.array(text(128)).max(100);
const delaySeconds = z.number().min(0).max(86_400);

/** A `max_attempts` in here becomes the task's `max_attempts`. */
export const retry = z.object({
  max_attempts: optional(z.int().min(1).max(10)).describe("Replaces the task's own `max_attempts`."),
  backoff: optional(z.enum(["linear", "exponential"])).describe(
    "How the delay grows: `exponential` (the default) doubles it, `linear` adds the first delay again.",
  ),
  base_delay_sec: delaySeconds.default(15).describe("The delay after the first error, in seconds."),
  max_delay_sec: delaySeconds.default(300).describe("The longest delay, in seconds."),
});

const policy = z.object({
  timeout_sec: z
    .number()
    .min(1)
    .max(3_600)
    .default(120)
    .describe("How long one attempt may run, in seconds; 120 where it is not given."),
  budget: z
    .union(
      [z.number().min(0), jsonObject(10_000)],
      "must be a number of 0 or more, or an object of 10000 bytes at most",
    )
    .default(0)
    .describe("The creator's own number, or object of 10,000 bytes at most. It is kept and passed on."),
  model: optional(text(256).min(1)).describe("The name of the model, as the worker's CLI knows it."),
  required_labels: optional(labels).describe("As the task's own `requires`; both together count."),
  preferred_labels: optional(labels).describe("As the task's own `prefers`; both together count."),
  allow_fallback: optional(z.boolean()).describe("As the task's own `allow_fallback`, which wins. It is passed on."),
  retry: optional(retry).describe("As the task's own `retry`, which wins."),
});

const attachment = z
  .object({
    type: z.enum(["presigned_url", "inline"]).describe("Whether the file is at `url`, or is the text in `content`."),
    mime_type: text(256)
      .min(1)
      .meta({ description: "The media type of the file.", examples: ["text/plain"] }),
    url: optional(httpUrl).describe("Where the file can be read: an http:// or https:// address."),
    content: optional(text(1_000_000)).describe("The file itself, as text."),
    filename: optional(text(256)).describe("The name of the file."),
  })
  .refine(({ type, url, content }) => (type === "inline" ? content : url) !== undefined, {
    message: "needs `content` when it is inline, and `url` when it is a presigned_url",
  });

/** What all attempts of the task may use together. */
const limits = z.object({
  max_usd: optional(z.number().positive().max(1_000_000)).describe("US dollars, as the CLIs estimate them."),
  max_tokens: optional(z.int().positive()).describe("Tokens of all kinds."),
  max_turns: optional(z.int().positive()).describe("Turns of the model."),
});

const tracing = z.object({
  trace_id: text(256).min(1).describe("The creator's id of the trace."),
  parent_span_id: optional(text(256)).describe("The span that the task belongs to."),
  metadata: optional(jsonObject(10_000)).describe("An object of the creator's own, of 10,000 bytes at most."),
});

export const idempotencyKey = z
  .string()
  .regex(/^[\x20-\x7e]{1,255}$/, "must be 1 to 255 characters of printable ASCII")
  .optional();
const keyField = optional(idempotencyKey).describe(
  "As the header `Idempotency-Key`: 1 to 255 characters of printable ASCII. The same request again gives the same task.",
);

/** The idempotency key in a body whose other fields were checked before. */
export const creationKey = z.object({ idempotency_key: keyField });

/**
 * The fields of a creation that are stored in the task's column of the same name. What a client may send of a task is declared here alone; the
 * column and the record have it too.
 */
const columns = {
  context_id: text(512)
    .min(1)
    .meta({
      description: "The context that the task belongs to: the creator's own name for it.",
      examples: ["garden"],
    }),
  agent_slug: text(256)
    .min(1)
    .meta({ description: "The agent that the task is for.", examples: ["writer"] }),
  prompt: longText.min(1).meta({
    description: "What the model is asked. `MAX_BODY_MB` bounds the whole request.",
    examples: ["Write a haiku about the garden."],
  }),
  context_hints: texts(1_000, 10_000).describe("What the agent is told of the context."),
  policy: policy.prefault({}).describe("How an attempt is made, and the creator's own words about that."),
  desired_format: z
    .enum(DESIRED_FORMATS)
    .default("text")
    .describe("The format of the output; the artifact's media type follows it."),
  max_attempts: z.int().min(1).max(10).default(3).describe("How often the task may be tried before it is dead."),
  priority: optional(z.int().min(-100).max(100)).describe(
    "A head start over tasks of priority 0, in minutes; 0 where it is not given.",
  ),
  requires: labels.default([]).describe("Labels that a worker must have to get the task."),
  concurrency_key: optional(text(256).min(1)).describe(
    "Of the tasks with the same key, one at most is leased or running at any moment.",
  ),
  prefers: optional(labels).describe(
    "Where the service chooses the worker, one with all these labels goes before others.",
  ),
  queue_ttl_sec: optional(z.int().min(1).max(2_592_000)).describe(
    "The task is dead when it was not started within this number of seconds after its creation, or after `not_before`.",
  ),
  not_before: optional(z.int().min(0).max(8.64e15)).describe(
    "No worker gets the task before that time. In epoch milliseconds.",
  ),
  agent_kind: optional(text(128)).describe("The kind of agent, which is passed on."),
  structured_input: optional(json(1_000_000)).describe(
    "Any JSON beside the prompt, of 1,000,000 bytes at most, which is passed on.",
  ),
  attachments: optional(z.array(attachment).max(20)).describe("Files that belong to the prompt."),
  tracing: optional(tracing).describe("Where the task belongs in the creator's own traces, which is passed on."),
  allow_fallback: optional(z.boolean()).describe(
    "False: only the worker that had the task first gets it again. True where neither the task nor its `policy` says so.",
  ),
  output_schema: optional(jsonObject(65_536)).describe(
    "The JSON Schema, of 65,536 bytes at most, that the output of a success must fit: else it is a `parse_error`.",
  ),
  keep_transcript: optional(z.boolean()).describe("All that the CLI printed is kept as an artifact of its own."),
  limits: optional(limits).describe("What all attempts of the task may use together."),
  resume: optional(z.boolean()).describe(
    "The worker goes on with the CLI session of its last task of the same context.",
  ),
  callback_url: optional(httpUrl).describe("Who is told of the task's end, as webhooks are. Needs `CALLBACK_SECRET`."),
  retry: optional(retry).describe("An error is tried again after such a delay; without it, an error ends the task."),
} satisfies { [Column in keyof TaskRow]?: z.ZodType };

export const creationFields = z.object({ ...columns, idempotency_key: keyField });

export type RequestedColumn = keyof typeof columns;
/** The columns of a task that hold what its creator asked for. */
export const REQUESTED_COLUMNS = Object.keys(columns) as RequestedColumn[];
