import { failureIn } from "./claude-failure.ts";
import { countIn, fieldsOf, known, textIn } from "./printed-values.ts";
import type { CliReader, CliUsage, CliWindow } from "./reader-types.ts";

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
      const failure = failureIn({
        result,
        assistantError,
        text,
        windows: reading.windows,
        isDenied: denied.length > 0,
      });
      return { ...reading, text, failure };
    },
  };
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
