/** What a client may send to create a task: the runtime's own fields, and those of the owners' protocol V1 beside them. */
import { z } from "zod";
import type { TaskRow as Task } from "../db/rows.ts";
import { attachment, creationFields as fields, limits, policy, retry, tracing } from "./creation-fields.ts";
import { optional, present } from "./fields.ts";

/** The body of a replay: `changes` are fields of a creation that replace the old task's fields. */
export const replayTask = z.object({
  changes: optional(z.record(z.string(), z.unknown())).describe(
    "Fields of a creation, in place of the old task's own.",
  ),
});

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
    callback_url: task.callback_url ?? null,
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
