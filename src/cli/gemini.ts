import type { ErrorKind } from "../db/kinds.ts";
import { sentenceOf } from "./failure-sentences.ts";
import { kindOfMessage } from "./known-messages.ts";
import { countIn, fieldsOf, known, textIn } from "./printed-values.ts";
import type { CliFailure, CliReader, CliUsage } from "./reader-types.ts";

/** An error's code is the exit code of `gemini`, or the status of the API. */
const BY_CODE: Record<number, ErrorKind> = {
  41: "auth",
  42: "invalid_input",
  53: "max_turns",
  400: "invalid_input",
  401: "auth",
  403: "auth",
  404: "invalid_input",
  429: "rate_limited",
};

/** Reads what `gemini -p --output-format json` prints: one object with `response`, `stats` and, after a failure, `error`. */
export function readGemini(): CliReader {
  let answer: Record<string, unknown> | undefined;
  return {
    take(value) {
      if ("response" in value || "error" in value) answer = value;
    },
    end() {
      const text = typeof answer?.response === "string" ? answer.response : null;
      const usage = { ...usageIn(fieldsOf(answer?.stats)), ...known({ session_id: textIn(answer?.session_id) }) };
      return { text, usage, windows: [], failure: failureIn(answer, text) };
    },
  };
}

function failureIn(answer: Record<string, unknown> | undefined, text: string | null): CliFailure | undefined {
  if (!answer) return { kind: undefined, message: "Gemini ended without an answer.", isUnexplained: true };
  if (!answer.error) return text === null ? { kind: "parse_error", message: "Gemini's answer is empty." } : undefined;
  const error = fieldsOf(answer.error);
  // A list or an object may have no number, and asking for it throws.
  const code = typeof error.code === "object" ? Number.NaN : Number(error.code);
  const byStatus = code === 503 ? "overloaded" : code >= 500 && code < 600 ? "provider_error" : undefined;
  const kind = BY_CODE[code] ?? byStatus;
  const message = textIn(error.message) ?? sentenceOf("Gemini", kind) ?? "Gemini failed.";
  return { kind: kind ?? kindOfMessage(message)?.kind, message };
}

function usageIn(stats: Record<string, unknown>): CliUsage {
  const models = Object.entries(fieldsOf(stats.models)).map(([model, value]) => {
    const used = fieldsOf(fieldsOf(value).tokens);
    const [prompt, cached] = [countIn(used.prompt) ?? 0, countIn(used.cached) ?? 0];
    // What the model thinks is counted apart, and paid for as output.
    return {
      model,
      input: Math.max(0, prompt - cached),
      cached,
      output: (countIn(used.candidates) ?? 0) + (countIn(used.thoughts) ?? 0),
    };
  });
  if (models.length === 0) return { provider: "google" };
  const sum = (field: "input" | "output" | "cached") => models.reduce((total, used) => total + used[field], 0);
  return known({
    provider: "google",
    model: models.toSorted((a, b) => b.output - a.output)[0]?.model,
    input_tokens: sum("input"),
    output_tokens: sum("output"),
    cache_read_tokens: sum("cached"),
  });
}
