/** The values that columns may have: the statuses, and what lies in those that hold JSON. */

/** Whether a task in a state waits for a worker, is held by a lease, or needs no more work. */
type StateKind = "waiting" | "held" | "ended";
/** The states of a task, what each means, and of which kind it is: a waiting task has no lease. */
const TASK_STATES = {
  queued: { kind: "waiting", meaning: "it waits for a worker" },
  leased: { kind: "held", meaning: "a worker has it" },
  running: { kind: "held", meaning: "its worker has begun" },
  completed: { kind: "ended", meaning: "its result is there" },
  failed: { kind: "ended", meaning: "its result is an error" },
  dead: { kind: "ended", meaning: "it has no attempts left, or was not started in time" },
  cancelled: { kind: "ended", meaning: "somebody has cancelled it" },
} as const satisfies Record<string, { kind: StateKind; meaning: string }>;
export type TaskStatus = keyof typeof TASK_STATES;
export const TASK_STATUSES = Object.keys(TASK_STATES) as [TaskStatus, ...TaskStatus[]];
const isOf = (kind: StateKind) => (status: TaskStatus) => TASK_STATES[status].kind === kind;
/** A task in one of these states is held by a lease. */
export const HELD_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter(isOf("held"));
/** A task in one of these states has not ended. */
export const OPEN_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter((status) => !isOf("ended")(status));
/** All states with their meanings, for documents. */
export const STATES_IN_WORDS = TASK_STATUSES.map((status) => `\`${status}\`: ${TASK_STATES[status].meaning}`).join(
  "; ",
);
export const LEASE_STATUSES = ["active", "expired", "released", "failed"] as const;
export const WORKER_STATUSES = ["online", "offline", "syncing", "error", "unknown"] as const;
export const URL_SOURCES = ["node", "caller", "membridge"] as const;
export const DESIRED_FORMATS = ["json", "text", "markdown"] as const;
export const RESULT_STATUSES = ["success", "error"] as const;
/** `pending`: it is tried until it is `delivered`, or `failed` when its time is over. */
export const DELIVERY_STATES = ["pending", "delivered", "failed"] as const;
/** What a named key may do; each route declares which roles may call it (`access` in http/route.ts). */
export const ROLES = ["submit", "work", "read", "admin"] as const;
export type Role = (typeof ROLES)[number];

export type JsonObject = { [name: string]: unknown };
/** `timeout_sec` bounds one execution. The rest is the caller's own: the runtime only keeps it and passes it on. */
export type Policy = {
  timeout_sec: number;
  budget: number | JsonObject;
  model?: string;
  preferred_labels?: string[];
  allow_fallback?: boolean;
};
/** A file that belongs to the prompt: where it can be fetched (`presigned_url`), or the text itself (`inline`). */
export type Attachment = {
  type: "presigned_url" | "inline";
  mime_type: string;
  url?: string;
  content?: string;
  filename?: string;
};
/** Where the task belongs in the caller's own traces. */
export type Tracing = { trace_id: string; parent_span_id?: string; metadata?: JsonObject };
export type Capabilities = { claude_cli: boolean; max_concurrency: number; labels: string[] };
/**
 * After how long an attempt that ended in an error is made again: the first after `base_delay_sec`, each next after twice as long, or with
 * `linear` after as much more.
 */
export type Retry = { base_delay_sec: number; max_delay_sec: number; backoff?: "linear" | "exponential" };
/** How far the worker says it is: `value` from 0 to 1. */
export type Progress = { value: number | null; text: string | null };
/** Why a worker gets no new work, and until when (epoch ms); null is until somebody resumes it. */
export type Drain = { reason: string; until: number | null };
/** Why a worker, or an account with all its workers, gets no new work for a while, and until when (epoch ms); null is until somebody resumes it. */
export type Rest = { kind: RestKind; reason: string; until: number | null };
/**
 * `failures`: its tasks failed at once while those of others did not. `worker`: it said so itself. `auth`: its CLI is not logged in.
 * `no_cli`: its CLI is not there. `trouble`: three of its attempts in a row ended in trouble with the provider, a time-out or a crash.
 * `rate_limited`: its account is at its limit.
 */
type RestKind = "failures" | "worker" | "auth" | "no_cli" | "trouble" | "rate_limited";
/** A window of an account's allowance: the share of it that is used, from 0 to 1, and when it begins anew (epoch ms); null where that is not known. */
type UsageWindow = { used: number | null; resets_at: number | null };
/** By the provider's names, such as `five_hour`. */
export type UsageWindows = { [name: string]: UsageWindow };
/** What an attempt took. The dollars are an estimate. */
export type Metrics = {
  duration_ms: number;
  tokens_used?: number;
  model?: string;
  provider?: string;
  input_tokens?: number;
  output_tokens?: number;
  cache_read_tokens?: number;
  cache_write_tokens?: number;
  cost_usd?: number;
  num_turns?: number;
  session_id?: string;
};

/** What a task used over all of its attempts so far. The dollars are an estimate. */
export type Usage = {
  attempts: number;
  duration_ms: number;
  tokens: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  num_turns: number;
  cost_usd: number;
};
/** What all attempts of a task may use together. */
export type Limits = { max_usd?: number; max_tokens?: number; max_turns?: number };

/** Why an attempt failed, as the worker or the reader of its CLI's output says; queue/outcome.ts says what each kind does. */
export const ERROR_KINDS = [
  "rate_limited",
  "auth",
  "overloaded",
  "provider_error",
  "timeout",
  "parse_error",
  "budget_exceeded",
  "max_turns",
  "prompt_too_long",
  "invalid_input",
  "no_cli",
  "crashed",
  "denied",
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];
