/** Why a run of Claude's CLI failed, by what it printed. */
import type { ErrorKind } from "../db/kinds.ts";
import { sentenceOf } from "./failure-sentences.ts";
import { kindOfMessage, kindOfWholeOutput } from "./known-messages.ts";
import { countIn, kindFrom } from "./printed-values.ts";
import type { CliFailure, CliWindow } from "./reader-types.ts";

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

/** What a run of Claude ended with. */
interface ClaudeEnd {
  /** The last `result` that it printed. */
  result: Record<string, unknown> | undefined;
  /** The error that its last message named. */
  assistantError: string | undefined;
  text: string | null;
  windows: CliWindow[];
  /** A tool was denied. */
  isDenied: boolean;
}

/** The failure of the run; undefined for a success. */
export function failureIn({ result, assistantError, text, windows, isDenied }: ClaudeEnd): CliFailure | undefined {
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
  const kind =
    kindOfEnd ??
    kindOfError(assistantError, countIn(result?.api_error_status), told?.kind) ??
    (isDenied ? "denied" : undefined);
  const resetsAtMs = kind === "rate_limited" ? (latestReset(windows) ?? told?.resetsAtMs) : undefined;
  return { kind, message, isUnexplained: !explanation, ...(resetsAtMs !== undefined && { resetsAtMs }) };
}

/** The kind of an error of the provider, by its name, by its HTTP status, and by what its words tell. */
function kindOfError(
  assistantError: string | undefined,
  status: number | undefined,
  told: ErrorKind | undefined,
): ErrorKind | undefined {
  // 400 is also the status of an account without credit or at a limit of its own, and 403 that of a model which the account may not use.
  const wordsTellMore = assistantError === "invalid_request" || status === 400 || status === 403;
  if (wordsTellMore && told) return told;
  return kindFrom(BY_ASSISTANT_ERROR, assistantError) ?? kindOfStatus(status) ?? told;
}

function kindOfStatus(status: number | undefined): ErrorKind | undefined {
  if (status === undefined) return undefined;
  return BY_API_STATUS[status] ?? (status >= 500 ? "provider_error" : undefined);
}

/** The account rests until the last of its used-up windows is reset. */
function latestReset(windows: CliWindow[]): number | undefined {
  const resets = windows.flatMap(({ status, resetsAtMs }) =>
    status === "rejected" && resetsAtMs !== null ? [resetsAtMs] : [],
  );
  // Not Math.max(...resets): a call with 200,000 arguments ends in a full stack.
  return resets.reduce<number | undefined>((last, next) => Math.max(last ?? next, next), undefined);
}
