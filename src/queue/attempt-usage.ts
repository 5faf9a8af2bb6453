/** What attempts use of an LLM: one attempt, a task over its attempts, and whether a task's limits are used up. */
import type { Limits, Metrics, Usage } from "../db/json-types.ts";

/** No attempt uses more than this: a worker that says so is wrong. 90 million such attempts would still not overflow a sum. */
const MOST = 1e11;
const count = (used = 0) => Math.min(used, MOST);

/** The metrics that say what an attempt used. Its duration is not among them, since every attempt says that. */
const FIGURES = [
  "tokens_used",
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "num_turns",
  "cost_usd",
] as const satisfies (keyof Metrics)[];

/** What an attempt used; undefined where its metrics have none of these figures. */
export function usageOf(metrics: Metrics): Usage | undefined {
  if (FIGURES.every((figure) => metrics[figure] === undefined)) return undefined;
  const [input_tokens, output_tokens] = [count(metrics.input_tokens), count(metrics.output_tokens)];
  const [cache_read_tokens, cache_write_tokens] = [count(metrics.cache_read_tokens), count(metrics.cache_write_tokens)];
  const sum = input_tokens + output_tokens + cache_read_tokens + cache_write_tokens;
  return {
    attempts: 1,
    duration_ms: count(metrics.duration_ms),
    tokens: count(metrics.tokens_used ?? sum),
    input_tokens,
    output_tokens,
    cache_read_tokens,
    cache_write_tokens,
    num_turns: metrics.num_turns ?? 0,
    cost_usd: metrics.cost_usd ?? 0,
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
  if (max_usd !== undefined && total("cost_usd") >= max_usd)
    return `The limit max_usd of ${max_usd} dollars is used up.`;
  if (max_tokens !== undefined && total("tokens") >= max_tokens)
    return `The limit max_tokens of ${max_tokens} is used up.`;
  if (max_turns !== undefined && total("num_turns") >= max_turns)
    return `The limit max_turns of ${max_turns} is used up.`;
  return undefined;
}
