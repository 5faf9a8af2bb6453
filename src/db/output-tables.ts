/** The tables of results, artifacts and the bytes of outputs. See `task-tables.ts` for what holds for all tables. */
import { sql } from "drizzle-orm";
import { boolean, index, integer, jsonb, pgTable, primaryKey, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { byteCount, bytes, epochMs } from "./column-types.ts";
import type { Metrics } from "./json-types.ts";
import { ERROR_KINDS } from "./kinds.ts";
import { RESULT_STATUSES } from "./statuses.ts";

/** The type of the artifact that holds all of what a CLI printed, where the task has `keep_transcript`. */
export const TRANSCRIPT = "LLM_TRANSCRIPT";

export const runtimeArtifacts = pgTable(
  "runtime_artifacts",
  {
    id: uuid().primaryKey(),
    task_id: uuid().notNull(),
    job_id: text(),
    type: text().notNull(),
    created_at: epochMs("created_at").notNull(),
    finalized: boolean().notNull(),
    url: text(),
    entity_refs: jsonb().$type<string[]>().notNull().default([]),
    tags: jsonb().$type<string[]>().notNull().default([]),
    content: text(),
    /** In UTF-8; null where there is no output, or where an adopted row does not say. */
    size_bytes: byteCount(),
    sha256: text(),
    /** How many bytes `content` takes in JSON, by which lists are bounded; null in rows of earlier versions, and where there was no content. */
    content_json_bytes: integer(),
    content_type: text().notNull().default("text/plain; charset=utf-8"),
  },
  (artifact) => [
    // storage/move-to-bucket.ts: outputs that are still in PostgreSQL
    index("runtime_artifacts_in_database")
      .on(artifact.id)
      .where(sql`${artifact.url} is null and ${artifact.size_bytes} is not null`),
    // queue/artifacts.ts, newest first: all, and those of a task
    index("runtime_artifacts_newest").on(artifact.created_at, artifact.id),
    index("runtime_artifacts_by_task").on(artifact.task_id, artifact.created_at, artifact.id),
  ],
);

/**
 * Outputs on their way: uploaded by a worker ahead of its completion, or just being put into the bucket; and objects whose artifact was removed
 * (retention/remove-tasks.ts). The completion that takes an output over deletes its row; what is left over after a day is cleaned away, in the bucket
 * too. The id is that of the artifact to be.
 */
export const stagedOutputs = pgTable(
  "runtime_staged_outputs",
  {
    id: uuid().primaryKey(),
    task_id: uuid().notNull(),
    lease_id: uuid(),
    created_at: epochMs("created_at").notNull(),
    /** Null until the upload has ended. */
    size_bytes: byteCount(),
    sha256: text(),
    /** Whether it is text in UTF-8; null until the upload has ended. */
    is_utf8: boolean(),
    /** The bucket that may hold an object of this output; null while no bucket does. */
    bucket: text(),
  },
  (staged) => [
    // storage/clean-staged.ts: the oldest first. Objects of removed tasks wait here, a hundred thousand after a big removal
    index("runtime_staged_outputs_oldest").on(staged.created_at),
  ],
);

/** The bytes of outputs that are too large for one value, of staged ones and of artifacts, in pieces. */
export const outputChunks = pgTable(
  "runtime_output_chunks",
  { output_id: uuid().notNull(), seq: integer().notNull(), data: bytes().notNull() },
  (chunk) => [primaryKey({ columns: [chunk.output_id, chunk.seq] })],
);

export const llmResults = pgTable(
  "llm_results",
  {
    id: uuid().primaryKey(),
    task_id: uuid().notNull(),
    worker_id: text().notNull(),
    artifact_id: uuid().notNull(),
    status: text({ enum: RESULT_STATUSES }).notNull(),
    /** Filled in adopted rows only: the output of a new result is stored once, in its artifact. */
    output: text(),
    error_message: text(),
    error_kind: text({ enum: ERROR_KINDS }),
    metrics: jsonb().$type<Metrics>().notNull(),
    completed_at: epochMs("completed_at").notNull(),
    /** The lease under which it was handed in; adopted rows do not know. */
    lease_id: uuid(),
    /** SHA-256 of the completion's body, by which a repeated completion is known. */
    body_sha256: text(),
    /** False for a result that came too late: it is kept, and is not the task's outcome (lifecycle.md, invariant 8). */
    accepted: boolean().notNull().default(true),
    /**
     * True where the output comes from the agent's answer, since the agent's own completion never came: agents shorten the output in their answers.
     */
    incomplete: boolean().notNull().default(false),
  },
  (result) => [
    // queue/result-list.ts: the results of a task
    index("llm_results_by_task").on(result.task_id),
    // queue/complete.ts: one result for a lease, however often it is submitted
    uniqueIndex("llm_results_one_per_lease").on(result.lease_id).where(sql`${result.lease_id} is not null`),
  ],
);
