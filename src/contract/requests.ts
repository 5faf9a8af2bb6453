/**
 * What clients may send, checked once, here. Fields that are columns take their types from the tables.
 * Unknown fields are dropped. Bounds are generous; docs/api.md states them.
 */
import { createInsertSchema } from "drizzle-zod";
import { z } from "zod";
import { CLI_NAMES } from "../cli/reading.ts";
import { workers } from "../db/fleet-tables.ts";
import { llmResults } from "../db/output-tables.ts";
import { ERROR_KINDS } from "../db/values.ts";
import { headerValue } from "../setting-values.ts";
import {
  agentUrl,
  httpUrl,
  longText,
  optional,
  present,
  text,
  textOrEmpty,
  texts,
  ttlSeconds,
  workerName,
} from "./fields.ts";

/** Any text may be a lease id; one that is no UUID is certainly stale. */
const leaseId = text(128).min(1).toLowerCase();

const share = z.number().min(0).max(1);
const note = text(1_000);

/** A share from 0 to 1, a short text, or both. */
const progress = z.union([
  share.transform((value) => ({ value, text: null })),
  note.transform((said) => ({ value: null, text: said })),
  z
    .object({ value: optional(share), text: optional(note) })
    .transform(({ value = null, text: said = null }) => ({ value, text: said })),
]);

/** The fence (lifecycle.md, invariant 7); without one the task's current lease is meant. */
export const heartbeatTask = z.object({ lease_id: optional(leaseId), progress: optional(progress) });

export const cancelTask = z.object({ reason: textOrEmpty(1_000) });

/** Without `minutes`, until somebody resumes the worker. */
export const drainWorker = z.object({
  reason: textOrEmpty(1_000),
  minutes: optional(z.number().min(0).max(525_600)),
});

/** A worker's own word that it can do no work for a while. */
export const restWorker = z.object({ reason: textOrEmpty(1_000), seconds: z.int().min(1).max(3_600) });

/** `started`: the worker has begun, and gives it back because of a fault of its own. */
export const releaseTask = z.object({
  lease_id: leaseId,
  reason: textOrEmpty(1_000),
  started: optional(z.boolean()),
});

export const leaseTask = z.object({ worker_id: optional(text(128)), ttl_seconds: optional(ttlSeconds) });

export const dispatchTask = leaseTask;

export const claimTasks = z.object({
  worker_id: text(128).min(1),
  max_tasks: optional(z.int().min(1).max(32)),
  wait_seconds: optional(z.number().min(0).max(25)),
  ttl_seconds: optional(ttlSeconds),
  agent_slugs: optional(z.array(text(256)).max(100)),
});

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
    /** The output is what this program printed, and the runtime reads it (cli/read.ts). */
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

/** What is not sent keeps its value where the worker is known, and is the default of a new one else (queue/register-worker.ts). */
export const registerWorker = createInsertSchema(workers, {
  status: (column) => optional(column),
  capabilities: optional(
    z.object({
      claude_cli: optional(z.boolean()),
      max_concurrency: optional(z.int().min(1).max(32)),
      labels: optional(z.array(text(128)).max(100)),
    }),
  ),
  ip_addrs: optional(z.array(text(64)).max(64)),
  agent_version: textOrEmpty(256),
  os_info: textOrEmpty(1_024),
  install_method: textOrEmpty(256),
  boot_id: textOrEmpty(256),
  account: optional(workerName),
})
  .pick({
    status: true,
    capabilities: true,
    ip_addrs: true,
    agent_version: true,
    os_info: true,
    install_method: true,
    boot_id: true,
    account: true,
  })
  .extend({ name: workerName, url: optional(z.union([z.literal(""), agentUrl])) });

export const saveConfig = z.object({
  membridge_server_url: httpUrl,
  admin_key: headerValue.max(4_096),
});

/** Passed on as it is: Membridge itself says what is wrong with it. The name is checked because it goes into the audit log. */
export const selectLeadership = z.looseObject({ primary_node_id: text(256).optional() });

export type LeaseTask = z.output<typeof leaseTask>;
export type ReleaseTask = z.output<typeof releaseTask>;
export type HeartbeatTask = z.output<typeof heartbeatTask>;
export type DrainWorker = z.output<typeof drainWorker>;
export type RestWorker = z.output<typeof restWorker>;
export type DispatchTask = z.output<typeof dispatchTask>;
export type ClaimTasks = z.output<typeof claimTasks>;
export type CompleteTask = z.output<typeof completeTask>;
export type RegisterWorker = z.output<typeof registerWorker>;
export type SaveConfig = z.output<typeof saveConfig>;
