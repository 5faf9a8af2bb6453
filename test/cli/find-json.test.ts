import { expect, it } from "vitest";
import { createJsonFinder } from "../../src/cli/find-json.ts";

/** What is found in an output that comes in these pieces. */
async function find(...pieces: string[]): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  const finder = createJsonFinder((value) => void found.push(value));
  for (const piece of pieces) await finder.write(piece);
  await finder.end();
  return found;
}

const LONGEST_LINE = 16_000_000;
/** An object whose line has this length. */
const lineOf = (length: number) => `{"text":"${"x".repeat(length - '{"text":""}'.length)}"}`;

it("finds an object whose line is as long as it may be, and passes over a longer one, which may come in pieces", async () => {
  expect((await find(lineOf(LONGEST_LINE))).length).toBe(1);
  expect((await find(lineOf(LONGEST_LINE + 1))).length).toBe(0);
  const half = "x".repeat(LONGEST_LINE / 2);
  expect((await find('{"text":"', half, half, '"}')).length).toBe(0);
});

it("takes nothing of a line that is too long, and all of the next one", async () => {
  const half = "x".repeat(LONGEST_LINE / 2);
  expect(await find(half, half, "x", '{"end": "of the line"}\n{"next":', " 1}\n")).toEqual([{ next: 1 }]);
});

it("holds nothing of a line that is too long, which may be longer than any text of JavaScript", async () => {
  const piece = "x".repeat(LONGEST_LINE - 1);
  expect(await find(...Array<string>(40).fill(piece), '\n{"next": 1}\n')).toEqual([{ next: 1 }]);
});

it("passes over what is spread over lines when they are too long together", async () => {
  const spread = (lines: number) => `{"texts": [\n${`"${"x".repeat(999_996)}",\n`.repeat(lines)}""]}\n`;
  expect((await find(spread(15))).length).toBe(1);
  expect((await find(spread(17))).length).toBe(0);
  expect(await find(spread(17), '{"next": 1}\n')).toEqual([{ next: 1 }]);
});

it("finds an indented object where nothing is open, and leaves it to what is", async () => {
  expect(await find('  {"a": 1}\n\t[{"b": 2}]\n  no {"c": 3}\n')).toEqual([{ a: 1 }, { b: 2 }]);
  expect(await find('{\n  "list": [\n    {"a": 1}\n  ]\n}\n')).toEqual([{ list: [{ a: 1 }] }]);
  expect(await find('  {\n    "a": 1\n  }\n')).toEqual([{ a: 1 }]);
});

it("begins anew at a bracket in a line's first place, whatever was open", async () => {
  expect(await find('{"cut": "off\n{"a": 1}\n[\n{"b": 2}\n')).toEqual([{ a: 1 }, { b: 2 }]);
});
