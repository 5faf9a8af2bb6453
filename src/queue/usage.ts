/** What attempts use of an LLM: one attempt, a task over its attempts, and whether a task's limits are used up. */
import type { Limits, Metrics, Usage } from "../db/json-types.ts";

/** No attempt uses so much. A worker that says so is wrong, and 90 million of them would still not overflow a sum. */
const MOST = 1e11;
const count = (said = 0) => Math.min(said, MOST);

/** What an attempt used; undefined where its metrics say nothing but how long it took. */
export function usageOf(metrics: Metrics): Usage | undefined {
  const {
    duration_ms,
    model: _model,
    provider: _provider,
    session_id: _session,
    denied_tools: _denied,
    ...said
  } = metrics;
  if (Object.keys(said).length === 0) return undefined;
  const [input_tokens, output_tokens] = [count(said.input_tokens), count(said.output_tokens)];
  const [cache_read_tokens, cache_write_tokens] = [count(said.cache_read_tokens), count(said.cache_write_tokens)];
  const sum = input_tokens + output_tokens + cache_read_tokens + cache_write_tokens;
  return {
    attempts: 1,
    duration_ms: count(duration_ms),
    tokens: count(said.tokens_used ?? sum),
    input_tokens,
    output_tokens,
    cache_read_tokens,
    cache_write_tokens,
    num_turns: said.num_turns ?? 0,
    cost_usd: said.cost_usd ?? 0,
  };
}

/** What earlier attempts have left of a task's limits; a limit that is used up is 0. */
export function limitsLeft({ max_usd, max_tokens, max_turns }: Limits, used: Usage | null): Limits {
  const left = (limit: number, figure: keyof Usage) => Math.max(0, limit - (used?.[figure] ?? 0));
  return {
    ...(max_usd !== undefined && { max_usd: left(max_usd, "cost_usd") }),
    ...(max_tokens !== undefined && { max_tokens: left(max_tokens, "tokens") }),
    ...(max_turns !== undefined && { max_turns: left(max_turns, "num_turns") }),
  };
}

/** Which limit of a task is used up by what was used before and by this attempt, in a sentence; undefined: none. */
export function limitReached(limits: Limits | null, before: Usage | null, now: Usage | undefined): string | undefined {
  const { max_usd, max_tokens, max_turns } = limits ?? {};
  const total = (figure: keyof Usage) => (before?.[figure] ?? 0) + (now?.[figure] ?? 0);
  if (max_usd !== undefined && total("cost_usd") >= max_usd) return `max_usd, ${max_usd} dollars, is used up.`;
  if (max_tokens !== undefined && total("tokens") >= max_tokens) return `max_tokens, ${max_tokens}, is used up.`;
  if (max_turns !== undefined && total("num_turns") >= max_turns) return `max_turns, ${max_turns}, is used up.`;
  return undefined;
}
