import type { Work } from "./runtime-client.ts";

/** Larger variables are left out: Linux starts no program with a variable of more than 128 KB. */
const LARGEST_VARIABLE = 100_000;
/** The id of a session comes from another worker, and must not be taken for an option. */
const SESSION = /^[A-Za-z0-9][\w.:-]*$/;

/**
 * What a task brings besides its prompt, by its name: text as it is, anything else as JSON. The command gets each as a file and, if small,
 * as a variable.
 */
export function inputsOf({ task }: Work): Record<string, string> {
  const { structured_input, attachments, tracing, output_schema } = task;
  const json = Object.entries({
    structured_input,
    attachments: attachments?.length ? attachments : undefined,
    tracing,
    output_schema,
  })
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => [name, JSON.stringify(value)]);
  return { context_hints: task.context_hints.join("\n"), ...Object.fromEntries(json) };
}

/** The command's variables: the task's fields, empty where it has none, and its inputs, each with the file that holds it. */
export function variablesOf(work: Work, inputFiles: Record<string, string>): Record<string, string> {
  const { task, lease, limits_left: left, resume_session, traceparent } = work;
  const { budget, timeout_sec, model } = task.policy;
  const inputs = Object.entries(inputsOf(work)).map(([name, value]) => [`BLOOM_${name.toUpperCase()}`, value]);
  const files = Object.entries(inputFiles).map(([name, file]) => [`BLOOM_${name.toUpperCase()}_FILE`, file]);
  const variables: Record<string, string> = {
    BLOOM_TASK_ID: task.id,
    BLOOM_LEASE_ID: lease.id,
    BLOOM_CONTEXT_ID: task.context_id,
    BLOOM_AGENT_SLUG: task.agent_slug,
    BLOOM_AGENT_KIND: task.agent_kind ?? "",
    BLOOM_DESIRED_FORMAT: task.desired_format,
    BLOOM_TIMEOUT_SEC: String(timeout_sec),
    BLOOM_BUDGET: typeof budget === "object" ? JSON.stringify(budget) : String(budget),
    BLOOM_MODEL: model ?? "",
    BLOOM_MAX_USD: String(left?.max_usd ?? ""),
    BLOOM_MAX_TOKENS: String(left?.max_tokens ?? ""),
    BLOOM_MAX_TURNS: String(left?.max_turns ?? ""),
    BLOOM_RESUME_SESSION: SESSION.test(resume_session ?? "") ? (resume_session ?? "") : "",
    BLOOM_TRACEPARENT: traceparent ?? "",
    // The name that OpenTelemetry's libraries and the CLIs read. An empty one keeps the worker's own away from them.
    TRACEPARENT: traceparent ?? "",
    ...Object.fromEntries(inputs),
    ...Object.fromEntries(files),
  };
  return Object.fromEntries(
    Object.entries(variables).filter(([, value]) => Buffer.byteLength(value) <= LARGEST_VARIABLE),
  );
}
