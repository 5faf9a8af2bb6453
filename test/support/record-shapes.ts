/** The records of api.md, "Records", field by field: what every answer must have, whatever else it may come to have. */
import { expect } from "vitest";
import { TASK_STATUSES } from "../../src/db/statuses.ts";

const uuid = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const text = expect.any(String);
const integer = expect.toSatisfy((value: unknown) => Number.isSafeInteger(value), "is a whole number");
/** Epoch milliseconds of about now. */
const time = expect.toSatisfy(
  (value: unknown) => Number.isSafeInteger(value) && Math.abs(Number(value) - Date.now()) < 600_000,
  "is a time in epoch milliseconds",
);
const orNull = (matcher: unknown) => expect.toSatisfy((value: unknown) => value === null || is(value, matcher));
const listOf = (matcher: unknown) =>
  expect.toSatisfy((value: unknown) => Array.isArray(value) && value.every((one) => is(one, matcher)));

const either = (...matchers: unknown[]) =>
  expect.toSatisfy((value: unknown) => matchers.some((matcher) => is(value, matcher)));

function is(value: unknown, matcher: unknown): boolean {
  try {
    expect(value).toEqual(matcher);
    return true;
  } catch {
    return false;
  }
}

const strings = listOf(text);

export const TASK = {
  id: uuid,
  context_id: text,
  agent_slug: text,
  prompt: text,
  context_hints: strings,
  policy: expect.objectContaining({
    timeout_sec: expect.any(Number),
    budget: either(expect.any(Number), expect.any(Object)),
  }),
  desired_format: expect.stringMatching(/^(json|text|markdown)$/),
  status: expect.toBeOneOf([...TASK_STATUSES]),
  created_at: time,
  updated_at: time,
  lease_id: orNull(uuid),
  worker_id: orNull(text),
  attempts: integer,
  max_attempts: integer,
  idempotency_key: orNull(text),
  priority: integer,
  requires: strings,
  concurrency_key: orNull(text),
  prefers: strings,
  queue_ttl_sec: orNull(integer),
  queue_until: orNull(integer),
  not_before: orNull(integer),
  retry_at: orNull(integer),
  retry: expect.toSatisfy((value: unknown) => value === null || typeof value === "object"),
  progress: expect.toSatisfy((value: unknown) => value === null || typeof value === "object"),
  cancel_requested: expect.any(Boolean),
  last_error: orNull(text),
  error_kind: orNull(text),
  allow_fallback: expect.any(Boolean),
  tried_by: orNull(text),
  elsewhere_until: orNull(integer),
  limits: orNull(expect.any(Object)),
  usage: orNull(expect.any(Object)),
  resume: expect.any(Boolean),
  agent_kind: orNull(text),
  structured_input: expect.toSatisfy((value: unknown) => value !== undefined, "is there"),
  traceparent: orNull(text),
  attachments: listOf(expect.any(Object)),
  tracing: orNull(expect.any(Object)),
  output_schema: orNull(expect.any(Object)),
  callback_url: orNull(text),
  keep_transcript: expect.any(Boolean),
  size_bytes: integer,
};

export const LEASE = {
  id: uuid,
  task_id: uuid,
  worker_id: text,
  started_at: time,
  expires_at: integer,
  ttl_seconds: integer,
  status: expect.stringMatching(/^(active|expired|released|failed)$/),
  last_heartbeat: time,
  context_id: orNull(text),
};

const REST = {
  kind: expect.stringMatching(/^(failures|worker|auth|no_cli|trouble|rate_limited)$/),
  reason: text,
  until: orNull(integer),
};

export const WORKER = {
  id: text,
  node_id: text,
  url: text,
  answered_by: orNull(text),
  status: expect.stringMatching(/^(online|offline|syncing|error|unknown)$/),
  capabilities: { claude_cli: expect.any(Boolean), max_concurrency: integer, labels: strings },
  last_heartbeat: orNull(time),
  ip_addrs: strings,
  obs_count: integer,
  db_sha: text,
  registered_at: time,
  active_leases: integer,
  agent_version: text,
  os_info: text,
  install_method: text,
  boot_id: text,
  drain: expect.toSatisfy((value: unknown) => value === null || typeof value === "object"),
  rest: either(null, REST),
  account: text,
  account_rest: either(null, REST),
};

export const ARTIFACT = {
  id: uuid,
  task_id: uuid,
  job_id: orNull(text),
  type: text,
  created_at: time,
  finalized: true,
  url: orNull(text),
  entity_refs: strings,
  tags: strings,
  content: orNull(text),
  size_bytes: orNull(integer),
  sha256: orNull(expect.stringMatching(/^[0-9a-f]{64}$/)),
  content_type: expect.stringMatching(/^(text\/(plain|markdown); charset=utf-8|application\/json)$/),
  accepted: expect.toSatisfy((value: unknown) => value === null || typeof value === "boolean"),
};

export const RESULT = {
  id: uuid,
  task_id: uuid,
  worker_id: text,
  artifact_id: uuid,
  status: expect.stringMatching(/^(success|error)$/),
  output: orNull(text),
  error_message: orNull(text),
  error_kind: orNull(text),
  metrics: either({ duration_ms: integer }, { duration_ms: integer, tokens_used: integer }),
  completed_at: time,
  lease_id: uuid,
  accepted: expect.any(Boolean),
  incomplete: expect.any(Boolean),
};

export const RUNTIME_CONFIG = {
  membridge_server_url: text,
  admin_key_masked: text,
  connected: expect.any(Boolean),
  last_test: orNull(time),
  reason: orNull(text),
};

export const AUDIT_ENTRY = {
  id: uuid,
  timestamp: time,
  action: text,
  entity_type: text,
  entity_id: text,
  actor: text,
  detail: text,
};
