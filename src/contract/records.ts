/** The records of leases, outputs, audit entries and the configuration. A column is published by being named here, and in no other way. */
import { z } from "zod";
import { LEASE_STATUSES, RESULT_STATUSES } from "../db/statuses.ts";
import { count, flag, id, list, time, words, worker } from "./record-fields.ts";
import { errorKind } from "./task-record.ts";

export const leaseRecord = z
  .object({
    id: id("The id of the lease: the fence that a worker sends with each call for the task."),
    task_id: id("The task that it holds."),
    worker_id: worker("The worker that it was given to."),
    started_at: time("When it began."),
    expires_at: time("When it is overdue, unless a heartbeat renews it."),
    ttl_seconds: count("How long it lives after each heartbeat, in seconds.", 300),
    status: z
      .enum(LEASE_STATUSES)
      .describe(
        "`active`, `expired` (overdue, or its worker is gone), `released` (completed or handed back); `failed` in rows of an earlier service.",
      ),
    last_heartbeat: time("The last heartbeat, or its begin."),
    context_id: words("The context of the task.", "garden").nullable(),
  })
  .meta({ id: "Lease", description: "The right of one worker to work on a task, for a limited time." });

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

export const auditRecord = z
  .object({
    id: id("The id of the entry."),
    timestamp: time("When it happened."),
    action: words("What was done.", "task_created"),
    entity_type: words("To what kind of thing.", "llm_task"),
    entity_id: words("To which one."),
    actor: words("Who did it: the named key, or the part of the service.", "api"),
    detail: words("The rest in a sentence.", "Task for agent writer, context garden"),
  })
  .meta({ id: "AuditEntry", description: "Who did what, and when." });

export const configRecord = z
  .object({
    membridge_server_url: words("Where Membridge is.", "http://127.0.0.1:8000"),
    admin_key_masked: words(
      "The first and the last 4 characters of its key around `****`; empty: there is none.",
      "****",
    ),
    connected: flag("Membridge answered, and took the key."),
    last_test: time("When that was asked last.").nullable(),
    reason: words("Why it is not connected, in a sentence.").nullable(),
  })
  .meta({ id: "RuntimeConfig", description: "Where Membridge is." });
