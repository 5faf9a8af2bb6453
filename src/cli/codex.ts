import { kindOfMessage } from "./known-messages.ts";
import { countIn, fieldsOf, known, textIn } from "./printed-values.ts";
import type { CliReader, CliUsage } from "./reader-types.ts";

/** Reads what `codex exec --json` prints: the last message of the agent is the answer, `turn.failed` or `error` a failure. */
export function readCodex(): CliReader {
  let text: string | null = null;
  let message: string | undefined;
  let hasEnded = false;
  let turns = 0;
  let usage: CliUsage = {};
  return {
    take(value) {
      const item = fieldsOf(value.item);
      if (value.type === "thread.started") usage = { ...usage, ...known({ session_id: textIn(value.thread_id) }) };
      else if (value.type === "item.completed" && item.type === "agent_message") text = textIn(item.text) ?? text;
      else if (value.type === "turn.completed") {
        [hasEnded, turns, message] = [true, turns + 1, undefined];
        usage = { ...usage, ...tokensIn(fieldsOf(value.usage)) };
      } else if (value.type === "turn.failed") message = textIn(fieldsOf(value.error).message) ?? "The turn failed.";
      else if (value.type === "error") message = textIn(value.message) ?? "Codex failed.";
    },
    end() {
      const reading = { text, usage: { ...usage, provider: "openai", num_turns: turns }, windows: [] };
      if (hasEnded && message === undefined) return { ...reading, failure: undefined };
      const sentence = message ?? "Codex ended before its turn was complete.";
      return {
        ...reading,
        failure: { kind: kindOfMessage(sentence)?.kind, message: sentence, isUnexplained: message === undefined },
      };
    },
  };
}

/** Codex counts the tokens from its cache among the input tokens. */
function tokensIn(used: Record<string, unknown>): CliUsage {
  const [input, cached] = [countIn(used.input_tokens), countIn(used.cached_input_tokens)];
  return known({
    input_tokens: input === undefined ? undefined : Math.max(0, input - (cached ?? 0)),
    cache_read_tokens: cached,
    output_tokens: countIn(used.output_tokens),
  });
}
