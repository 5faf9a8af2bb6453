/**
 * The records of what attempts bring forth: artifacts, and results, which say how the attempt went. A column is published
 * by being named here, and in no other way.
 */
import { z } from "zod";
import { RESULT_STATUSES } from "../db/statuses.ts";
import { count, flag, id, list, time, words, worker } from "./record-fields.ts";
import { errorKind } from "./task-record.ts";

export const storedArtifact = z.object({
  id: id("The id of the artifact."),
  task_id: id("The task that brought it forth."),
  job_id: words("The job of an earlier service.").nullable(),
  type: words("What it is.", "LLM_RESULT"),
  created_at: time("When it was stored."),
  finalized: flag("The artifact cannot be changed any more.").meta({ examples: [true] }),
  url: words("`minio://<bucket>/<key>` where it lies in a bucket; null: in PostgreSQL.").nullable(),
  entity_refs: list("What an earlier service says the artifact is about."),
  tags: list("The worker's own words for it."),
  content: words(
    "Its text, where PostgreSQL holds it as text; its bytes are read at `/artifacts/:id/content`.",
  ).nullable(),
  size_bytes: count("Its size, in bytes.", 61).nullable(),
  sha256: words("The SHA-256 of its bytes, in hexadecimal.").nullable(),
  content_type: words("Its media type.", "text/plain; charset=utf-8"),
});

export const artifactRecord = storedArtifact
  .extend({
    accepted: flag(
      "True: the result of the task. False: another attempt followed, or it came too late. Null: not known.",
    ).nullable(),
  })
  .meta({ id: "Artifact", description: "What a task has brought forth. It never changes once it is finalized." });

const tokens = (description: string) => z.int().describe(description).exactOptional();

const metrics = z.object({
  duration_ms: count("How long the attempt ran, in milliseconds.", 8_400),
  tokens_used: tokens("Tokens of all kinds."),
  model: words("The model that answered.").exactOptional(),
  provider: words("The provider of the model.").exactOptional(),
  input_tokens: tokens("Tokens of the prompt."),
  output_tokens: tokens("Tokens of the answer."),
  cache_read_tokens: tokens("Tokens of the prompt that the provider had in its cache."),
  cache_write_tokens: tokens("Tokens of the prompt that the provider put into its cache."),
  cost_usd: z.number().describe("An estimate of the cost, in US dollars.").exactOptional(),
  num_turns: tokens("Turns of the model."),
  session_id: words("The CLI's session.").exactOptional(),
  denied_tools: list("The tools that the CLI wanted to use and was not allowed to.", "Bash").exactOptional(),
});

export const storedResult = z.object({
  id: id("The id of the result."),
  task_id: id("The task that it is of."),
  worker_id: worker("The worker that handed it in."),
  artifact_id: id("The artifact that holds the output."),
  status: z.enum(RESULT_STATUSES).describe("How the attempt ended."),
  error_message: words("What went wrong, in the worker's words.").nullable(),
  error_kind: errorKind.nullable(),
  metrics: metrics.describe("What the attempt took."),
  completed_at: time("When it was handed in."),
  lease_id: id("The lease under which it was handed in; null in rows of an earlier service.").nullable(),
  accepted: flag("False: it came too late, and is not the task's outcome.").meta({ examples: [true] }),
  incomplete: flag("Only the end of the output is known."),
});

export const resultRecord = storedResult
  .extend({ output: words("The output, where PostgreSQL holds it as text.").nullable() })
  .meta({ id: "Result", description: "What a worker handed in for an attempt." });
