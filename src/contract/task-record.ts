/** The record of a task as clients read it. A column is published by being named here, and in no other way. */
import { z } from "zod";
import { DESIRED_FORMATS, ERROR_KINDS } from "../db/kinds.ts";
import { STATES_IN_WORDS, TASK_STATUSES } from "../db/statuses.ts";
import { anyObject, count, flag, id, list, time, words, worker } from "./record-fields.ts";

const policy = z.object({
  timeout_sec: z.number().meta({ description: "How long one attempt may run, in seconds.", examples: [120] }),
  budget: z.union([z.number(), anyObject]).describe("The creator's own; the service keeps it and passes it on."),
  model: words("The model's name, as the worker's CLI knows it.").exactOptional(),
  preferred_labels: list("Labels that the router prefers a worker to have.").exactOptional(),
  allow_fallback: flag("As the task's own `allow_fallback`.").exactOptional(),
});

const retry = z.object({
  base_delay_sec: z.number().meta({ description: "The delay after the first error, in seconds.", examples: [15] }),
  max_delay_sec: z.number().meta({ description: "The longest delay, in seconds.", examples: [300] }),
  backoff: z
    .enum(["linear", "exponential"])
    .describe("How the delay grows: `exponential` (the default) doubles it, `linear` adds the first delay again.")
    .exactOptional(),
});

const attachment = z.object({
  type: z.enum(["presigned_url", "inline"]).describe("Whether the file is at `url`, or is the text in `content`."),
  mime_type: words("The media type of the file.", "text/plain"),
  url: words("Where the file can be read.").exactOptional(),
  content: words("The file itself.").exactOptional(),
  filename: words("The name of the file.").exactOptional(),
});

const tracing = z.object({
  trace_id: words("The creator's id of the trace."),
  parent_span_id: words("The span that the task belongs to.").exactOptional(),
  metadata: anyObject.describe("The creator's own.").exactOptional(),
});

export const limitsRecord = z
  .object({
    max_usd: z.number().describe("US dollars, as the CLIs estimate them.").exactOptional(),
    max_tokens: z.int().describe("Tokens of all kinds.").exactOptional(),
    max_turns: z.int().describe("Turns of the model.").exactOptional(),
  })
  .meta({ id: "Limits", description: "What all attempts of a task may use together." });

/** What attempts used, as far as they said so. */
export const usageFigures = {
  attempts: count("How many attempts have ended.", 1),
  duration_ms: count("How long they ran together, in milliseconds.", 8_400),
  tokens: count("Tokens of all kinds.", 1_950),
  input_tokens: count("Tokens of prompts.", 1_500),
  output_tokens: count("Tokens of answers.", 450),
  cache_read_tokens: count("Tokens of prompts that the provider had in its cache."),
  cache_write_tokens: count("Tokens of prompts that the provider put into its cache."),
  num_turns: count("Turns of the model.", 1),
  cost_usd: z.number().meta({ description: "An estimate of the cost, in US dollars.", examples: [0.0123] }),
};

const usage = z
  .object(usageFigures)
  .meta({ id: "Usage", description: "What the attempts of a task used together, as far as they said so." });

export const progress = z.object({
  value: z.number().nullable().describe("From 0 to 1."),
  text: z.string().nullable().describe("In the worker's words."),
});

export const errorKind = z
  .enum(ERROR_KINDS)
  .describe("Why an attempt failed. docs/outcomes.md says what follows from each kind.");

export const taskRecord = z
  .object({
    id: id("The id of the task."),
    context_id: words("The context that the task belongs to: its creator's own name for it.", "garden"),
    agent_slug: words("The agent that the task is for.", "writer"),
    prompt: words("What the model is asked.", "Write a haiku about the garden."),
    context_hints: list("What the creator tells the agent about the context."),
    policy: policy.describe("How an attempt is made, and the creator's own words about that."),
    desired_format: z.enum(DESIRED_FORMATS).describe("The format of the output."),
    status: z.enum(TASK_STATUSES).describe(`${STATES_IN_WORDS}.`),
    created_at: time("When it was created."),
    updated_at: time("When it was changed last."),
    lease_id: id("The lease that holds it, or that held it last.").nullable(),
    worker_id: worker("The worker of that lease.").nullable(),
    attempts: count("How many attempts have begun, without those that were given back."),
    max_attempts: count("After how many attempts it is dead.", 3),
    idempotency_key: words("The creator's name for this creation.").nullable(),
    priority: count("A head start over tasks of priority 0, in minutes."),
    requires: list("The labels that a worker must have to get it."),
    concurrency_key: words("Of the tasks with the same key, one at most is held at any moment.").nullable(),
    prefers: list("Labels that the router prefers a worker to have."),
    queue_ttl_sec: z.int().describe("How long it may wait for its first start, in seconds.").nullable(),
    queue_until: time("When it ends `dead` unless it was started.").nullable(),
    not_before: time("No worker gets it before that time, which its creator set.").nullable(),
    retry: retry.describe("The delays after an error; null: an error is not tried again.").nullable(),
    retry_at: time("No worker gets it before that time, which is the delay after an error.").nullable(),
    progress: progress.describe("How far the worker says it is.").nullable(),
    cancel_requested: flag("It is held, and will be cancelled when its lease ends."),
    last_error: words(
      "What was said when the last attempt ended without success, in 500 characters at most.",
    ).nullable(),
    error_kind: errorKind.nullable(),
    allow_fallback: flag("False: only the worker that had it first gets it again."),
    tried_by: worker(
      "The worker of the last attempt that came to nothing; without `allow_fallback`, of the first.",
    ).nullable(),
    elsewhere_until: time("Until then that worker leaves it to others, when it claims.").nullable(),
    limits: limitsRecord.nullable(),
    usage: usage.nullable(),
    resume: flag("The worker goes on with the CLI session of its last task of the same context."),
    agent_kind: words("The kind of agent, which is passed on.").nullable(),
    structured_input: z.unknown().describe("Any JSON beside the prompt, which is passed on; null: none."),
    attachments: z.array(attachment).meta({ description: "Files that belong to the prompt.", examples: [[]] }),
    tracing: tracing.describe("Where it belongs in the creator's own traces.").nullable(),
    traceparent: words(
      "The trace that it belongs to, as the W3C Trace Context writes it: from the header `traceparent` of its creation, or from `tracing`.",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ).nullable(),
    output_schema: anyObject.describe("The JSON Schema that the output of a success must fit.").nullable(),
    keep_transcript: flag("All that the CLI printed is kept as an artifact of its own."),
    callback_url: words("Who is told of its end.", "https://garden.example/done").nullable(),
    size_bytes: count("The size of the request as JSON, in bytes; null in rows of earlier versions.", 412).nullable(),
  })
  .meta({ id: "Task", description: "A task for a model: what is asked, and how far it is." });

/** The fields that may be long: lists of slim tasks leave them out. */
export const LONG_FIELDS = {
  prompt: true,
  context_hints: true,
  structured_input: true,
  attachments: true,
  output_schema: true,
} as const;
