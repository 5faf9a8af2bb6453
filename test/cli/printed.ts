/** What the CLIs print, in the shapes that their makers publish; the words are ours. */

export const lines = (...values: object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");

export const claudeSuccess = [
  { type: "system", subtype: "init", session_id: "s-1", model: "claude-main" },
  { type: "assistant", session_id: "s-1", message: { content: [{ type: "text", text: "A seed" }] } },
  {
    type: "result",
    subtype: "success",
    is_error: false,
    result: "A seed holds its breath",
    session_id: "s-1",
    num_turns: 2,
    duration_ms: 1_200,
    total_cost_usd: 0.0421,
    usage: { input_tokens: 20, output_tokens: 60 },
    modelUsage: {
      "claude-main": {
        inputTokens: 20,
        outputTokens: 60,
        cacheReadInputTokens: 1_500,
        cacheCreationInputTokens: 40,
        costUSD: 0.04,
      },
      "claude-small": {
        inputTokens: 100,
        outputTokens: 20,
        cacheReadInputTokens: 0,
        cacheCreationInputTokens: 0,
        costUSD: 0.0021,
      },
    },
    permission_denials: [],
  },
];

export const claudeLoggedOut = {
  type: "assistant",
  session_id: "s-2",
  error: "authentication_failed",
  message: { content: [{ type: "text", text: "Invalid API key" }] },
};

const window = (rateLimitType: string, resetsAt: number) => ({
  type: "rate_limit_event",
  rate_limit_info: { status: "rejected", rateLimitType, resetsAt, utilization: 1 },
});
/** The windows are reset at these times, in seconds of the epoch. */
export const claudeLimitedUntil = (fiveHour: number, sevenDay: number) => [
  window("five_hour", fiveHour),
  window("seven_day", sevenDay),
  {
    type: "result",
    subtype: "success",
    is_error: true,
    api_error_status: 429,
    result: "You've hit your limit",
    session_id: "s-3",
  },
];
export const claudeLimited = claudeLimitedUntil(1_795_480_000, 1_795_500_000);

export const codexSuccess = [
  { type: "thread.started", thread_id: "th-1" },
  { type: "turn.started" },
  { type: "item.completed", item: { id: "i0", type: "reasoning", text: "Thinking." } },
  { type: "item.completed", item: { id: "i1", type: "agent_message", text: "Working." } },
  { type: "item.completed", item: { id: "i2", type: "agent_message", text: "Done." } },
  { type: "turn.completed", usage: { input_tokens: 1_000, cached_input_tokens: 900, output_tokens: 30 } },
];

export const codexLimited = [
  { type: "thread.started", thread_id: "th-2" },
  { type: "turn.failed", error: { message: "You've hit your usage limit. Try again at 9:00 PM." } },
];

export const geminiSuccess = {
  session_id: "0a1b-2c",
  response: "Done.",
  stats: {
    models: { "gemini-pro": { tokens: { prompt: 1_000, cached: 900, candidates: 20, thoughts: 30, total: 1_050 } } },
  },
};

const step = (output: number) => ({
  type: "step_finish",
  sessionID: "ses_1",
  part: {
    type: "step-finish",
    cost: 0.015,
    tokens: { input: 15, output, reasoning: 2, cache: { read: 2.5, write: 1 } },
  },
});
const said = (text: string) => ({ type: "text", sessionID: "ses_1", part: { type: "text", text } });
export const opencodeSuccess = [
  { type: "step_start", sessionID: "ses_1", part: { type: "step-start" } },
  said("First."),
  step(4),
  said("Second."),
  step(6),
];
