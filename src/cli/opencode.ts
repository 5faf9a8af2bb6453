import { kindOfMessage } from "./known-messages.ts";
import { countIn, fieldsOf, textIn } from "./printed-values.ts";
import type { CliReader } from "./reader-types.ts";

/** Reads what `opencode run --format json` prints: the texts are the answer, each step says what it used, an `error` is a failure. */
export function readOpencode(): CliReader {
  const texts: string[] = [];
  const sums = { input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, cost_usd: 0 };
  let sessionId: string | undefined;
  let steps = 0;
  let message: string | undefined;
  return {
    take(value) {
      const part = fieldsOf(value.part);
      sessionId = textIn(value.sessionID) ?? sessionId;
      if (value.type === "text") texts.push(textIn(part.text) ?? "");
      else if (value.type === "step_finish") {
        steps += 1;
        const tokens = fieldsOf(part.tokens);
        const cache = fieldsOf(tokens.cache);
        sums.input_tokens += countIn(tokens.input) ?? 0;
        // What the model thinks is counted apart, and paid for as output.
        sums.output_tokens += (countIn(tokens.output) ?? 0) + (countIn(tokens.reasoning) ?? 0);
        sums.cache_read_tokens += countIn(cache.read) ?? 0;
        sums.cache_write_tokens += countIn(cache.write) ?? 0;
        sums.cost_usd += countIn(part.cost) ?? 0;
      } else if (value.type === "error") message = errorIn(value);
    },
    end() {
      const text = textIn(texts.join("\n")) ?? null;
      const usage = { ...(steps > 0 && { ...sums, num_turns: steps }), ...(sessionId && { session_id: sessionId }) };
      if (message === undefined && text !== null) return { text, usage, windows: [], failure: undefined };
      const sentence = message ?? "opencode printed no answer.";
      return {
        text,
        usage,
        windows: [],
        failure: { kind: kindOfMessage(sentence)?.kind, message: sentence, isUnexplained: message === undefined },
      };
    },
  };
}

function errorIn(value: Record<string, unknown>): string {
  const error = fieldsOf(value.error);
  return textIn(fieldsOf(error.data).message) ?? textIn(error.message) ?? textIn(error.name) ?? "opencode failed.";
}
