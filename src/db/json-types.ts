/** The types of what lies in columns that hold JSON. */
import type { RestKind } from "./kinds.ts";

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
 * After how long an attempt that ended in an error is made again: the first after `base_delay_sec`. Each next delay is twice the last; with
 * `linear`, it is longer by `base_delay_sec`.
 */
export type Retry = { base_delay_sec: number; max_delay_sec: number; backoff?: "linear" | "exponential" };
/** How far the worker says it is: `value` from 0 to 1. */
export type Progress = { value: number | null; text: string | null };
/** Why a worker gets no new work, and until when (epoch ms); null is until somebody resumes it. */
export type Drain = { reason: string; until: number | null };
/**
 * Why a worker, or an account with all its workers, gets no new work for a while, and until when (epoch ms); null is until somebody resumes
 * it.
 */
export type Rest = { kind: RestKind; reason: string; until: number | null };
/**
 * A window of an account's allowance: the share of it that is used, from 0 to 1, and when it begins anew (epoch ms); null where that is not
 * known.
 */
type UsageWindow = { used: number | null; resets_at: number | null };
/** The windows of an account by the provider's names, such as `five_hour`. */
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
  /** The tools that the CLI wanted to use and was not allowed to, by name. */
  denied_tools?: string[];
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
