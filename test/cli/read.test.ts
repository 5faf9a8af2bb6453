import { describe, expect, it } from "vitest";
import { readCli } from "../../src/cli/read-cli.ts";
import type { CliName } from "../../src/cli/reader-types.ts";
import * as printed from "./printed.ts";

const NOT_ASKED = { code: 0, stderr: "" };

/** Reads a text in pieces of three characters, as a pipe may cut it anywhere. */
const read = (name: CliName, text: string, exit: { code: number | null; stderr: string } = NOT_ASKED) =>
  readCli(name, text.match(/[\s\S]{1,3}/g) ?? [], exit);

describe("claude", () => {
  it("gives the result's text, and the usage of all models", async () => {
    const { text, failure, usage } = await read("claude", printed.lines(...printed.claudeSuccess));
    expect({ text, failure }).toEqual({ text: "A seed holds its breath", failure: undefined });
    expect(usage).toEqual({
      provider: "anthropic",
      model: "claude-main",
      session_id: "s-1",
      cost_usd: 0.0421,
      num_turns: 2,
      input_tokens: 120,
      output_tokens: 80,
      cache_read_tokens: 1_500,
      cache_write_tokens: 40,
    });
  });

  it.each([
    ["one array of all messages", JSON.stringify(printed.claudeSuccess)],
    ["an array that is spread over lines", JSON.stringify(printed.claudeSuccess, null, 2)],
    [
      "an array with an item on each line",
      `[\n${printed.claudeSuccess.map((each) => JSON.stringify(each)).join(",\n")}\n]`,
    ],
    [
      "banners and an unknown type in between",
      `Welcome {\n${printed.lines({ type: "new_in_3.0" }, ...printed.claudeSuccess)}bye`,
    ],
    ["a last line that is cut off", `${printed.lines(...printed.claudeSuccess)}{"type":"result","subtype":"error_max`],
    ["a line that ends with CR and LF", printed.lines(...printed.claudeSuccess).replaceAll("\n", "\r\n")],
  ])("reads %s", async (_how, text) => {
    expect(await read("claude", text)).toMatchObject({ text: "A seed holds its breath", failure: undefined });
  });

  it("lets the result decide, and not the exit code", async () => {
    const exit = { code: 1, stderr: "a hook failed" };
    expect((await read("claude", printed.lines(...printed.claudeSuccess), exit)).failure).toBeUndefined();
  });

  it.each([
    ["max_turns", { subtype: "error_max_turns", is_error: true }],
    ["budget_exceeded", { subtype: "error_max_budget_usd", is_error: true }],
    ["parse_error", { subtype: "error_max_structured_output_retries", is_error: true }],
    ["prompt_too_long", { is_error: true, terminal_reason: "prompt_too_long" }],
    ["rate_limited", { is_error: true, api_error_status: 429 }],
    ["overloaded", { is_error: true, api_error_status: 529 }],
    ["provider_error", { is_error: true, api_error_status: 502 }],
    ["auth", { is_error: true, api_error_status: 401 }],
    ["invalid_input", { is_error: true, api_error_status: 400 }],
    ["denied", { is_error: true, permission_denials: [{ tool_name: "Bash" }] }],
  ])("%s", async (kind, fields) => {
    const result = { type: "result", subtype: "error_during_execution", result: "It failed.", ...fields };
    const { failure } = await read("claude", printed.lines(result), { code: 0, stderr: "" });
    expect(failure).toEqual({ kind, message: "It failed." });
  });

  it.each([
    ["max_turns", { subtype: "error_max_turns" }, "Claude ended at its limit of turns."],
    ["budget_exceeded", { subtype: "error_max_budget_usd", errors: [] }, "Claude ended at its limit of dollars."],
    ["prompt_too_long", { terminal_reason: "prompt_too_long" }, "Claude ended, since the prompt is too long."],
    ["max_turns", { subtype: "error_max_turns", errors: ["Reached maximum number of turns (3)"] }, /^Reached maximum/],
  ])("%s has a sentence of its own where the CLI has no words for it", async (kind, fields, message) => {
    const result = { type: "result", subtype: "error_during_execution", is_error: true, result: "", ...fields };
    const exit = { code: 1, stderr: "The command ended with code 1" };
    const { failure } = await read("claude", printed.lines(result), exit);
    expect(failure).toEqual({ kind, message: expect.stringMatching(message) });
  });

  it("names the tools that were denied, each once, in a success too", async () => {
    const permission_denials = [{ tool_name: "Bash" }, { tool_name: "WebFetch" }, { tool_name: "Bash" }, null];
    const result = { type: "result", subtype: "success", result: "I could not look.", permission_denials };
    const { failure, usage } = await read("claude", printed.lines(result));
    expect({ failure, usage }).toEqual({
      failure: undefined,
      usage: { provider: "anthropic", denied_tools: ["Bash", "WebFetch", "?"] },
    });
  });

  it("knows the error of an assistant's message when no result followed", async () => {
    const { failure } = await read("claude", printed.lines(printed.claudeLoggedOut), { code: 1, stderr: "" });
    expect(failure).toEqual({ kind: "auth", message: "Invalid API key" });
  });

  const begun = { type: "system", subtype: "init", session_id: "s-1" };
  const longAnswer = { type: "assistant", message: { content: [{ type: "text", text: "x".repeat(5_000) }] } };
  it.each([
    ["behind its first line", printed.lines(begun), "Not logged in · Please run /login\n", "auth"],
    ["behind a long line", printed.lines(begun, longAnswer), "Not logged in · Please run /login\n", "auth"],
    ["of several lines", printed.lines(begun), "\nIt broke.\nSee the log.\n", "crashed"],
  ])("knows what it says in plain words %s, where no result follows", async (_where, events, words, kind) => {
    const { failure } = await read("claude", events + words, { code: 1, stderr: "The command ended with code 1" });
    expect(failure).toEqual({ kind, message: `${words.trim()}\nThe command ended with code 1` });
  });

  it("takes no JSON for plain words, of which a part may be missing", async () => {
    const exit = { code: 1, stderr: "The command ended with code 1" };
    for (const text of [printed.lines(begun, longAnswer), `${printed.lines(begun)}{"type":"resu`, printed.lines(begun)])
      expect((await read("claude", text, exit)).failure?.message).toBe(exit.stderr);
  });

  const apiError = (status: number, type: string, message: string) =>
    `API Error: ${status} {"type":"error","error":{"type":"${type}","message":"${message}"},"request_id":"req_1"}`;
  it.each([
    ["invalid_input", apiError(404, "not_found_error", "model: claude-opsu")],
    ["invalid_input", "There's an issue with the selected model (claude-opsu). It may not exist."],
    ["invalid_input", apiError(400, "invalid_request_error", "temperature: must be at most 1")],
    ["invalid_input", "400 invalid_request_error"],
    ["invalid_input", apiError(403, "permission_error", "Your API key may not use the specified resource.")],
    ["invalid_input", apiError(403, "permission_error", "Your organization has no access to this model.")],
    ["prompt_too_long", apiError(413, "request_too_large", "Request exceeds the maximum size")],
    ["prompt_too_long", apiError(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")],
    ["auth", apiError(400, "invalid_request_error", "Your credit balance is too low to access the API.")],
    ["auth", apiError(400, "invalid_request_error", "This organization has been disabled.")],
    ["auth", apiError(403, "permission_error", "OAuth authentication is not allowed for this organization.")],
    ["auth", `${apiError(403, "permission_error", "No.")} · Please run /login`],
    ["rate_limited", apiError(400, "invalid_request_error", "You have reached your specified API usage limits.")],
    ["crashed", "the test not_found_error failed"],
  ])("is %s when it says: %s", async (kind, said) => {
    const exit = { code: 1, stderr: "The command ended with code 1" };
    expect((await read("claude", `${said}\n`, exit)).failure?.kind).toBe(kind);
    expect((await read("claude", "", { code: 1, stderr: `${exit.stderr}: ${said}` })).failure?.kind).toBe(kind);
    const result = { type: "result", subtype: "success", is_error: true, result: said };
    const { failure } = await read("claude", printed.lines(result), exit);
    expect(failure).toEqual({ kind, message: said });
    const api_error_status = Number(/API Error: (\d+)/.exec(said)?.[1]);
    if (!api_error_status) return;
    const refused = { type: "assistant", error: "invalid_request", message: { content: [] } };
    const lines = printed.lines(refused, { ...result, api_error_status });
    expect((await read("claude", lines, exit)).failure?.kind).toBe(kind);
  });

  it.each(["API Error: Connection error.", "API Error: Request timed out.", "API Error (Connection error.)"])(
    "%s is trouble with the provider, without a status too",
    async (said) => {
      const result = { type: "result", subtype: "success", is_error: true, result: said };
      const { failure } = await read("claude", printed.lines(result), { code: 1, stderr: "" });
      expect(failure).toEqual({ kind: "provider_error", message: said });
    },
  );

  it("gives the latest reset of the windows that are used up, in milliseconds", async () => {
    const { failure, windows } = await read("claude", printed.lines(...printed.claudeLimited));
    expect(failure).toEqual({ kind: "rate_limited", message: "You've hit your limit", resetsAtMs: 1_795_500_000_000 });
    expect(windows).toContainEqual({ type: "five_hour", status: "rejected", used: 1, resetsAtMs: 1_795_480_000_000 });
  });

  it("takes a rejected overage beside an allowed window for what is normal", async () => {
    const event = {
      type: "rate_limit_event",
      rate_limit_info: { status: "allowed", overageStatus: "rejected", rateLimitType: "five_hour" },
    };
    expect((await read("claude", printed.lines(event, ...printed.claudeSuccess))).failure).toBeUndefined();
  });

  it("does not take a limit's message with exit code 0 for an answer", async () => {
    const result = {
      type: "result",
      subtype: "success",
      is_error: false,
      result: "Claude AI usage limit reached|1795500000",
    };
    const { failure } = await read("claude", printed.lines(result));
    expect(failure).toMatchObject({ kind: "rate_limited", resetsAtMs: 1_795_500_000_000 });
  });

  it("takes an answer about limits for an answer", async () => {
    const result = {
      type: "result",
      subtype: "success",
      result: "The report says that the usage limit was reached in May.",
    };
    expect((await read("claude", printed.lines(result))).failure).toBeUndefined();
  });

  it("gives the structured answer where there is one", async () => {
    const result = { type: "result", subtype: "success", result: "Here it is.", structured_output: { haiku: "seed" } };
    expect((await read("claude", printed.lines(result))).text).toBe('{"haiku":"seed"}');
  });

  it("removes colours from what it gives", async () => {
    const result = { type: "result", subtype: "success", result: "\u001b[31mred\u001b[0m" };
    expect((await read("claude", printed.lines(result))).text).toBe("red");
  });
});

describe("codex", () => {
  it("gives the last message of the agent, and counts the cache apart", async () => {
    const { text, failure, usage } = await read("codex", printed.lines(...printed.codexSuccess));
    expect({ text, failure }).toEqual({ text: "Done.", failure: undefined });
    expect(usage).toMatchObject({
      session_id: "th-1",
      input_tokens: 100,
      cache_read_tokens: 900,
      output_tokens: 30,
      num_turns: 1,
    });
  });

  it("says why a turn failed", async () => {
    const { failure } = await read("codex", printed.lines(...printed.codexLimited), { code: 1, stderr: "" });
    expect(failure).toMatchObject({ kind: "rate_limited", message: expect.stringContaining("usage limit") });
  });
});

describe("gemini", () => {
  it("reads an object whose texts have brackets and quotes", async () => {
    const response = 'a } or ] and \\" or {"[';
    const reading = await read("gemini", JSON.stringify({ response, stats: {} }, null, 2));
    expect(reading).toMatchObject({ text: response, failure: undefined });
  });

  it("reads an object that is spread over lines, behind a banner", async () => {
    const text = `Loaded cached credentials.\n${JSON.stringify(printed.geminiSuccess, null, 2)}\n`;
    const reading = await read("gemini", text);
    expect(reading).toMatchObject({ text: "Done.", failure: undefined });
    expect(reading.usage).toEqual({
      session_id: "0a1b-2c",
      provider: "google",
      model: "gemini-pro",
      input_tokens: 100,
      cache_read_tokens: 900,
      output_tokens: 50,
    });
  });

  it.each([
    [429, "rate_limited"],
    [41, "auth"],
    [42, "invalid_input"],
    [53, "max_turns"],
    [503, "overloaded"],
    [500, "provider_error"],
  ])("knows the code %i of an error", async (code, kind) => {
    const answer = { error: { type: "ApiError", message: "no", code }, stats: {} };
    expect((await read("gemini", JSON.stringify(answer, null, 2), { code: 1, stderr: "" })).failure).toMatchObject({
      kind,
      message: "no",
    });
  });

  it("has a sentence for the code of an error without words", async () => {
    const exit = { code: 53, stderr: "The command ended with code 53" };
    const { failure } = await read("gemini", JSON.stringify({ error: { code: 53 } }), exit);
    expect(failure).toEqual({ kind: "max_turns", message: "Gemini ended at its limit of turns." });
  });
});

describe("opencode", () => {
  it("joins the texts and sums the steps", async () => {
    const { text, usage, failure } = await read("opencode", printed.lines(...printed.opencodeSuccess));
    expect({ text, failure }).toEqual({ text: "First.\nSecond.", failure: undefined });
    expect(usage).toEqual({
      session_id: "ses_1",
      input_tokens: 30,
      output_tokens: 14,
      cache_read_tokens: 5,
      cache_write_tokens: 2,
      cost_usd: 0.03,
      num_turns: 2,
    });
  });

  it("does not take silence for an answer", async () => {
    expect((await read("opencode", "")).failure).toMatchObject({ kind: "parse_error" });
  });

  it("says what an error event says", async () => {
    const error = {
      type: "error",
      error: { name: "ProviderAuthError", data: { message: "Incorrect API key provided" } },
    };
    expect((await read("opencode", printed.lines(error))).failure).toEqual({
      kind: "auth",
      message: "Incorrect API key provided",
    });
  });
});

describe("a model that the others do not know", () => {
  const openAi = (status: string, message: string) =>
    `unexpected status ${status}: {"error": {"message": "${message}", "type": "invalid_request_error", "code": null}}`;
  it.each([
    ["codex", "invalid_input", { type: "turn.failed", error: { message: openAi("404 Not Found", "No model gpt-x") } }],
    ["codex", "auth", { type: "turn.failed", error: { message: openAi("401 Unauthorized", "Give an API key.") } }],
    ["gemini", "invalid_input", { error: { code: 404, message: "models/gemini-x is not found" } }],
    ["opencode", "invalid_input", { type: "error", error: { name: "ProviderModelNotFoundError", data: {} } }],
  ] as const)("%s: %s", async (cli, kind, event) => {
    expect((await read(cli, printed.lines(event), { code: 1, stderr: "" })).failure?.kind).toBe(kind);
  });
});

describe("a hostile output", () => {
  it("of brackets that are closed on lines of their own is not read once for each of them", async () => {
    const depth = 200_000;
    const { failure } = await readCli("claude", ["[".repeat(depth), "\n]".repeat(depth)], NOT_ASKED);
    expect(failure?.kind).toBe("parse_error");
  }, 5_000);

  it("of lines that each open a bracket is not tried as JSON for each of them", async () => {
    const { failure } = await readCli("claude", ["{\n".repeat(2_000_000)], NOT_ASKED);
    expect(failure?.kind).toBe("parse_error");
  }, 5_000);

  it("of quotes that are never closed is not read once for each of them", async () => {
    const { failure } = await readCli("claude", [`{"${'\\"'.repeat(2_000_000)}\n}`], NOT_ASKED);
    expect(failure?.kind).toBe("parse_error");
  }, 5_000);
});

describe("any of them, without a word of JSON", () => {
  it.each([
    [127, "sh: 1: claude: not found", "no_cli"],
    [1, "Segmentation fault", "crashed"],
    [1, "Invalid API key · Please run /login", "auth"],
    [137, "", "crashed"],
    [null, "", undefined],
  ])("exit code %s with %j is %s", async (code, stderr, kind) => {
    expect((await read("claude", "", { code, stderr })).failure?.kind).toBe(kind);
  });

  it("says what was printed", async () => {
    const { failure } = await read("claude", "5-hour limit reached ∙ resets 2am\n", { code: 1, stderr: "" });
    expect(failure).toEqual({ kind: "rate_limited", message: "5-hour limit reached ∙ resets 2am" });
  });
});

describe("an output that is meant to break its reader", () => {
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  const noText = '{"toString": 1, "valueOf": 1}';
  const failed = (fields: string) => `{"type": "result", "is_error": true, "result": "no", ${fields}}`;
  const limits = Array.from(
    { length: 150_000 },
    (_, n) =>
      `{"type":"rate_limit_event","rate_limit_info":{"rateLimitType":"w${n}","status":"rejected","resetsAt":${n}}}`,
  );

  it.each<[CliName, string, string | undefined, string]>([
    ["claude", "arrays in arrays", "parse_error", deep],
    ["claude", "a name that every object has", "parse_error", failed('"subtype": "constructor"')],
    ["claude", "the name of the prototype", "parse_error", failed('"terminal_reason": "__proto__"')],
    ["claude", "such a name in a message", "parse_error", '{"type": "assistant", "error": "toString"}'],
    ["claude", "an object that cannot be a text", "parse_error", failed(`"subtype": ${noText}`)],
    ["claude", "a subtype of many levels", "parse_error", failed(`"subtype": ${deep}`)],
    ["claude", "an answer of many levels", undefined, `{"type": "result", "structured_output": ${deep}}`],
    ["claude", "very many limits", "rate_limited", [...limits, failed('"api_error_status": 429')].join("\n")],
    ["gemini", "a code that is no number", "parse_error", `{"error": {"code": ${noText}}}`],
    ["gemini", "a code of many levels", "parse_error", `{"error": {"code": ${deep}}}`],
  ])("%s: %s", async (name, _what, kind, text) => {
    const { failure } = await readCli(name, [text], NOT_ASKED);
    expect(failure?.kind).toBe(kind);
  });
});
