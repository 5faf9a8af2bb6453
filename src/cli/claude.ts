import type { ErrorKind } from "../db/kinds.ts";
import { sentenceOf } from "./failure-sentences.ts";
import { kindOfMessage, kindOfWholeOutput } from "./known-messages.ts";
import { countIn, fieldsOf, kindFrom, known, textIn } from "./printed-values.ts";
import type { CliFailure, CliReader, CliUsage, CliWindow } from "./reader-types.ts";

const BY_SUBTYPE: Record<string, ErrorKind> = {
  error_max_turns: "max_turns",
  error_max_budget_usd: "budget_exceeded",
  error_max_structured_output_retries: "parse_error",
};

const BY_TERMINAL_REASON: Record<string, ErrorKind> = {
  max_turns: "max_turns",
  budget_exhausted: "budget_exceeded",
  blocking_limit: "rate_limited",
  prompt_too_long: "prompt_too_long",
};

const BY_ASSISTANT_ERROR: Record<string, ErrorKind> = {
  authentication_failed: "auth",
  account_on_hold: "auth",
  verification_required: "auth",
  billing_error: "auth",
  rate_limit: "rate_limited",
  overloaded: "overloaded",
  server_error: "provider_error",
  invalid_request: "invalid_input",
  model_not_found: "invalid_input",
  max_output_tokens: "invalid_input",
};

const BY_API_STATUS: Record<number, ErrorKind> = {
  400: "invalid_input",
  401: "auth",
  403: "auth",
  404: "invalid_input",
  413: "prompt_too_long",
  429: "rate_limited",
  529: "overloaded",
};

/** Reads what `claude -p --output-format stream-json` (or `json`) prints. The last `result` decides, whatever the exit code. */
export function readClaude(): CliReader {
  const windows = new Map<string, CliWindow>();
  let result: Record<string, unknown> | undefined;
  let assistantError: string | undefined;
  let lastText: string | undefined;
  let sessionId: string | undefined;

  return {
    take(value) {
      sessionId = textIn(value.session_id) ?? sessionId;
      if (value.type === "result") result = value;
      else if (value.type === "rate_limit_event") keepWindow(windows, fieldsOf(value.rate_limit_info));
      else if (value.type === "assistant") {
        assistantError = textIn(value.error) ?? assistantError;
        lastText = textOf(value) ?? lastText;
      }
    },
    end() {
      const denied = deniedIn(result);
      const usage = {
        ...(result && usageIn(result)),
        ...(sessionId && { session_id: sessionId }),
        ...(denied.length > 0 && { denied_tools: denied }),
      };
      const reading = { usage, windows: [...windows.values()] };
      const text = result ? answerIn(result) : (lastText ?? null);
      return { ...reading, text, failure: failureIn(result, assistantError, text, reading.windows) };
    },
  };
}

function failureIn(
  result: Record<string, unknown> | undefined,
  assistantError: string | undefined,
  text: string | null,
  windows: CliWindow[],
): CliFailure | undefined {
  const isSuccess = result?.is_error !== true && (result?.subtype ?? "success") === "success";
  const inText = text === null ? undefined : kindOfWholeOutput(text);
  if (result && isSuccess && !inText) return undefined;

  const errors = Array.isArray(result?.errors) ? result.errors.filter((error) => typeof error === "string") : [];
  // The text of a run without a result is a piece of the answer, which may speak of limits.
  const words = result || inText || assistantError ? text : null;
  const kindOfEnd = kindFrom(BY_SUBTYPE, result?.subtype) ?? kindFrom(BY_TERMINAL_REASON, result?.terminal_reason);
  const explanation = errors.join("\n") || words || sentenceOf("Claude", kindOfEnd);
  const message = explanation || "Claude ended without a result.";
  const told = inText ?? (result ? kindOfMessage(message) : undefined);
  const status = countIn(result?.api_error_status);
  // 400 is also the status of an account without credit or at a limit of its own, and 403 that of a model which the account may not use.
  const wordsTellMore = assistantError === "invalid_request" || status === 400 || status === 403;
  const kind =
    kindOfEnd ??
    (wordsTellMore ? told?.kind : undefined) ??
    kindFrom(BY_ASSISTANT_ERROR, assistantError) ??
    (status === undefined ? undefined : (BY_API_STATUS[status] ?? (status >= 500 ? "provider_error" : undefined))) ??
    told?.kind ??
    (deniedIn(result).length > 0 ? "denied" : undefined);
  const resetsAtMs = kind === "rate_limited" ? (latestReset(windows) ?? told?.resetsAtMs) : undefined;
  return { kind, message, isUnexplained: !explanation, ...(resetsAtMs !== undefined && { resetsAtMs }) };
}

/** The account rests until the last of its used-up windows is reset. */
function latestReset(windows: CliWindow[]): number | undefined {
  const resets = windows.flatMap(({ status, resetsAtMs }) =>
    status === "rejected" && resetsAtMs !== null ? [resetsAtMs] : [],
  );
  // Not Math.max(...resets): a call with 200,000 arguments ends in a full stack.
  return resets.reduce<number | undefined>((last, next) => Math.max(last ?? next, next), undefined);
}

/** The tools that were denied, each once, in the order in which they were first. */
function deniedIn(result: Record<string, unknown> | undefined): string[] {
  const denials = Array.isArray(result?.permission_denials) ? result.permission_denials : [];
  return [...new Set(denials.map((denial) => textIn(fieldsOf(denial).tool_name) ?? "?"))];
}

function keepWindow(windows: Map<string, CliWindow>, info: Record<string, unknown>): void {
  const type = textIn(info.rateLimitType) ?? "unknown";
  const resetsAt = countIn(info.resetsAt);
  windows.set(type, {
    type,
    status: textIn(info.status) ?? "unknown",
    used: countIn(info.utilization) ?? null,
    // The CLI says seconds.
    resetsAtMs: resetsAt === undefined ? null : Math.round(resetsAt * 1_000),
  });
}

/** The structured answer where one was asked for, else the text. */
function answerIn(result: Record<string, unknown>): string | null {
  if (result.structured_output !== undefined && result.structured_output !== null) {
    const answer = jsonOf(result.structured_output);
    if (answer !== undefined) return answer;
  }
  return typeof result.result === "string" ? result.result : null;
}

/** The value in JSON. Undefined for a value that is nested some thousand levels deep: it can be parsed, and cannot be written. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function textOf(assistant: Record<string, unknown>): string | undefined {
  const { content } = fieldsOf(assistant.message);
  if (!Array.isArray(content)) return undefined;
  const texts = content.map(fieldsOf).flatMap((part) => (part.type === "text" ? [textIn(part.text) ?? ""] : []));
  return textIn(texts.join(""));
}

/** `modelUsage` has every model that took part, `usage` the main loop alone. */
function usageIn(result: Record<string, unknown>): CliUsage {
  const models = Object.entries(fieldsOf(result.modelUsage)).map(([model, used]) => ({ model, ...tokensOf(used) }));
  const common = {
    provider: "anthropic",
    cost_usd: countIn(result.total_cost_usd),
    num_turns: countIn(result.num_turns),
  };
  if (models.length === 0) {
    const used = fieldsOf(result.usage);
    return known({
      ...common,
      input_tokens: countIn(used.input_tokens),
      output_tokens: countIn(used.output_tokens),
      cache_read_tokens: countIn(used.cache_read_input_tokens),
      cache_write_tokens: countIn(used.cache_creation_input_tokens),
    });
  }
  const sum = (field: "input" | "output" | "cacheRead" | "cacheWrite") =>
    models.reduce((total, model) => total + model[field], 0);
  return known({
    ...common,
    model: models.toSorted((a, b) => b.output - a.output)[0]?.model,
    input_tokens: sum("input"),
    output_tokens: sum("output"),
    cache_read_tokens: sum("cacheRead"),
    cache_write_tokens: sum("cacheWrite"),
  });
}

function tokensOf(value: unknown) {
  const used = fieldsOf(value);
  return {
    input: countIn(used.inputTokens) ?? 0,
    output: countIn(used.outputTokens) ?? 0,
    cacheRead: countIn(used.cacheReadInputTokens) ?? 0,
    cacheWrite: countIn(used.cacheCreationInputTokens) ?? 0,
  };
}
