import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { readCli } from "../../src/cli/read-cli.ts";
import * as printed from "./printed.ts";

const NOT_ASKED = { code: 0, stderr: "" };

describe("a long output", () => {
  /** How often other work of the event loop had its turn meanwhile. */
  async function turnsWhile(work: Promise<unknown>): Promise<number> {
    let turns = 0;
    let isOver = false;
    const settled = work.finally(() => {
      isOver = true;
    });
    for (; !isOver; turns++) await nextTurn();
    await settled;
    return turns;
  }

  it.each([
    ["of few characters in many lines", "{}\n".repeat(20_000), 20],
    ["of lines that are no JSON", "{]}\n".repeat(20_000), 20],
    ["of empty lines", "\n".repeat(20_000), 20],
    ["of long lines", printed.lines({ type: "assistant", text: "a".repeat(50_000) }).repeat(40), 20],
  ])("%s lets the service do something else in between", async (_of, text, turns) => {
    expect(await turnsWhile(readCli("claude", [text], NOT_ASKED))).toBeGreaterThanOrEqual(turns);
  });

  const answer = { type: "result", subtype: "success", result: "ok" };
  const values = (count: number) => Array.from({ length: count }, () => 0);

  it("is read, however long its texts are", async () => {
    const text = printed.lines({ ...answer, result: '", [{'.repeat(300_000) });
    expect((await readCli("claude", [text], NOT_ASKED)).text).toHaveLength(1_500_000);
  });

  it("is read when it is an array of many messages, with the result at its end", async () => {
    const message = { type: "assistant", message: { content: values(40) } };
    const text = JSON.stringify([...Array<unknown>(4_000).fill(message), answer]);
    expect((await readCli("claude", [text], NOT_ASKED)).text).toBe("ok");
  });

  it.each([
    ["in one line", undefined],
    ["in lines of their own", 1],
  ])("with more values in one object than are parsed at once, %s, is passed over", async (_how, indent) => {
    const read = async (count: number) => {
      const text = JSON.stringify({ ...answer, structured_output: values(count) }, null, indent);
      return (await readCli("claude", [text], NOT_ASKED)).failure?.kind;
    };
    expect(await read(95_000)).toBeUndefined();
    expect(await read(105_000)).toBe("parse_error");
  });

  it("is looked through for messages at its end", async () => {
    const result = `${"a ".repeat(100_000)}. Invalid API key`;
    expect(
      (await readCli("claude", [printed.lines({ ...answer, is_error: true, result })], NOT_ASKED)).failure?.kind,
    ).toBe("auth");
  });
});
