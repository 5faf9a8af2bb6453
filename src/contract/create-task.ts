/** What a client may send to create a task: the runtime's own fields, and those of the owners' protocol V1 beside them. */
import { createInsertSchema } from "drizzle-zod";
import { z } from "zod";
import type { TaskRow as Task } from "../db/rows.ts";
import { llmTasks } from "../db/schema.ts";
import { httpUrl, json, jsonObject, longText, optional, present, text, texts } from "./fields.ts";

const labels = z.array(text(128)).max(100);
const delaySeconds = z.number().min(0).max(86_400);

/** A `max_attempts` in here becomes the task's `max_attempts`. */
const retry = z.object({
  max_attempts: optional(z.int().min(1).max(10)),
  backoff: optional(z.enum(["linear", "exponential"])),
  base_delay_sec: delaySeconds.default(15),
  max_delay_sec: delaySeconds.default(300),
});

const policy = z.object({
  timeout_sec: z.number().min(1).max(3_600).default(120),
  budget: z
    .union(
      [z.number().min(0), jsonObject(10_000)],
      "must be a number of 0 or more, or an object of 10000 bytes at most",
    )
    .default(0),
  /** The name of the model, as the worker's CLI knows it. */
  model: optional(text(256).min(1)),
  required_labels: optional(labels),
  preferred_labels: optional(labels),
  allow_fallback: optional(z.boolean()),
  retry: optional(retry),
});

const attachment = z
  .object({
    type: z.enum(["presigned_url", "inline"]),
    mime_type: text(256).min(1),
    url: optional(httpUrl),
    content: optional(text(1_000_000)),
    filename: optional(text(256)),
  })
  .refine(({ type, url, content }) => (type === "inline" ? content : url) !== undefined, {
    message: "needs `content` when it is inline, and `url` when it is a presigned_url",
  });

/** What all attempts of the task may use together. */
const limits = z.object({
  max_usd: optional(z.number().positive().max(1_000_000)),
  max_tokens: optional(z.int().positive()),
  max_turns: optional(z.int().positive()),
});

const tracing = z.object({
  trace_id: text(256).min(1),
  parent_span_id: optional(text(256)),
  metadata: optional(jsonObject(10_000)),
});

export const idempotencyKey = z
  .string()
  .regex(/^[\x20-\x7e]{1,255}$/, "must be 1 to 255 characters of printable ASCII")
  .optional();
const keyField = optional(idempotencyKey);

/** The idempotency key in a body whose other fields were checked before. */
export const creationKey = z.object({ idempotency_key: keyField });

/** The body of a replay: `changes` are fields of a creation that replace the old task's fields. */
export const replayTask = z.object({ changes: optional(z.record(z.string(), z.unknown())) });

const fields = createInsertSchema(llmTasks, {
  context_id: text(512).min(1),
  agent_slug: text(256).min(1),
  prompt: longText.min(1),
  context_hints: texts(1_000, 10_000),
  policy: policy.prefault({}),
  desired_format: (column) => column.default("text"),
  max_attempts: z.int().min(1).max(10).default(3),
  priority: optional(z.int().min(-100).max(100)),
  requires: labels.default([]),
  concurrency_key: optional(text(256).min(1)),
  prefers: optional(labels),
  queue_ttl_sec: optional(z.int().min(1).max(2_592_000)),
  not_before: optional(z.int().min(0).max(8.64e15)),
  agent_kind: optional(text(128)),
  structured_input: optional(json(1_000_000)),
  attachments: optional(z.array(attachment).max(20)),
  tracing: optional(tracing),
  allow_fallback: optional(z.boolean()),
  output_schema: optional(jsonObject(65_536)),
  keep_transcript: optional(z.boolean()),
  limits: optional(limits),
  resume: optional(z.boolean()),
})
  .pick({
    context_id: true,
    agent_slug: true,
    prompt: true,
    context_hints: true,
    policy: true,
    desired_format: true,
    max_attempts: true,
    priority: true,
    requires: true,
    concurrency_key: true,
    prefers: true,
    queue_ttl_sec: true,
    not_before: true,
    agent_kind: true,
    structured_input: true,
    attachments: true,
    tracing: true,
    allow_fallback: true,
    output_schema: true,
    keep_transcript: true,
    limits: true,
    resume: true,
  })
  .extend({ retry: optional(retry), idempotency_key: keyField });

/**
 * A task as it is stored. The labels in `policy` are added to `requires` and `prefers`. `policy.retry` and `policy.allow_fallback` count where the
 * task itself has no such field.
 */
export const createTask = fields.transform((given) => {
  const { policy: said, retry: own, requires, not_before, idempotency_key: _key, ...task } = given;
  const { required_labels = [], retry: theirs, ...policy } = said;
  const wanted = own ?? theirs;
  return {
    ...task,
    policy: present(policy),
    requires: [...new Set([...requires, ...required_labels])],
    priority: task.priority ?? 0,
    concurrency_key: task.concurrency_key ?? null,
    prefers: [...new Set([...(task.prefers ?? []), ...(policy.preferred_labels ?? [])])],
    queue_ttl_sec: task.queue_ttl_sec ?? null,
    not_before: not_before ?? null,
    max_attempts: wanted?.max_attempts ?? task.max_attempts,
    retry: wanted ? delaysOf(wanted) : null,
    agent_kind: task.agent_kind ?? null,
    structured_input: task.structured_input ?? null,
    attachments: (task.attachments ?? []).map(present),
    tracing: task.tracing ? present(task.tracing) : null,
    limits: task.limits ? present(task.limits) : null,
    resume: task.resume ?? false,
    allow_fallback: task.allow_fallback ?? policy.allow_fallback ?? true,
    output_schema: task.output_schema ?? null,
    keep_transcript: task.keep_transcript ?? false,
  };
});
export type CreateTask = z.output<typeof createTask>;

/** The request that created `task`, as a body of a creation; without its idempotency key. */
export function requestOf(task: Task): Record<string, unknown> {
  const { idempotency_key: _key, ...asked } = fields.shape;
  const stored: Record<string, unknown> = task;
  return Object.fromEntries(Object.keys(asked).map((name) => [name, stored[name]]));
}

function delaysOf({ max_attempts: _attempts, ...delays }: z.output<typeof retry>) {
  return present(delays);
}

/** Where a body has objects of fields, by the dotted name of the place. */
const KNOWN: Record<string, object> = {
  "": fields.shape,
  policy: policy.shape,
  "policy.retry": retry.shape,
  retry: retry.shape,
  attachments: attachment.shape,
  tracing: tracing.shape,
  limits: limits.shape,
};

/** The dotted names of the fields of a body that a creation does not know, each once; of a list's items as if they stood in the list itself. */
export function ignoredFields(body: unknown, place = ""): string[] {
  if (Array.isArray(body)) return [...new Set(body.flatMap((item) => ignoredFields(item, place)))];
  const known = KNOWN[place];
  if (!known || typeof body !== "object" || body === null) return [];
  return Object.entries(body).flatMap(([field, value]) => {
    const name = place === "" ? field : `${place}.${field}`;
    return Object.hasOwn(known, field) ? ignoredFields(value, name) : [name];
  });
}
