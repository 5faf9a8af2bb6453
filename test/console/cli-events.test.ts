import { describe, expect, it } from "vitest";
import { textOfEvents } from "../../src/console/pages/task/cli-events.ts";
import { claudeLoggedOut, claudeSuccess, codexLimited, codexSuccess, lines, opencodeSuccess } from "../cli/printed.ts";

const calls = (name: string, input: object) => ({
  type: "assistant",
  message: {
    content: [
      { type: "text", text: "I look." },
      { type: "tool_use", name, input },
    ],
  },
});

describe("what a CLI prints, for people", () => {
  it.each([
    ["the texts of Claude", claudeSuccess, "A seed"],
    ["what Claude cannot do", [claudeLoggedOut], "Invalid API key"],
    [
      "the tools that Claude uses",
      [calls("Bash", { command: "ls -la" }), calls("Stop", {})],
      "I look.\n▸ Bash ls -la\nI look.\n▸ Stop",
    ],
    ["the messages of Codex", codexSuccess, "Thinking.\nWorking.\nDone."],
    ["why Codex failed", codexLimited, "You've hit your usage limit. Try again at 9:00 PM."],
    [
      "the commands of Codex",
      [{ type: "item.completed", item: { type: "command_execution", command: "bash -lc ls" } }],
      "▸ $ bash -lc ls",
    ],
    [
      "why opencode failed",
      [{ type: "error", error: { name: "ProviderAuthError", data: { message: "Incorrect API key provided" } } }],
      "Incorrect API key provided",
    ],
    ["the texts of opencode", opencodeSuccess, "First.\nSecond."],
    ["objects that are no events of theirs, as they are", [{ type: "mine", a: 1 }], '{"type":"mine","a":1}'],
  ])("are %s", (_what, events, text) => expect(textOfEvents(lines(...events)).trimEnd()).toBe(text));

  it("is what stands there where it is no JSON, also between events", () => {
    expect(textOfEvents(`Warming up\n${lines(codexSuccess[4] ?? {})}{broken\n  indented`)).toBe(
      "Warming up\nDone.\n{broken\n  indented",
    );
  });

  it("has no part of an object that is still being printed", () => {
    expect(textOfEvents(`Hello\n${JSON.stringify(claudeLoggedOut).slice(0, 40)}`)).toBe("Hello");
  });

  it("has no line for a message without a text", () => {
    expect(textOfEvents(lines({ type: "assistant", message: { content: "x" } }, { type: "text" }))).toBe("");
  });

  it.each([
    { type: { toString: null, valueOf: null } },
    { type: ["system"], a: 1 },
    { type: "result", answer: 42 },
    { type: "error", message: { code: 1 } },
    { type: "item.started.by.us" },
  ])("is the line itself where its fields are none of a CLI: %j", (event) => {
    expect(textOfEvents(lines(event)).trimEnd()).toBe(JSON.stringify(event));
  });

  it("does not fail at a tool whose name is no text, nor at a type of many levels", () => {
    expect(textOfEvents(lines(calls({ toString: null } as never, {})))).toBe("I look.\n▸\n");
    const deep = `{"type":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
    expect(textOfEvents(deep)).toBe(deep);
  });
});
