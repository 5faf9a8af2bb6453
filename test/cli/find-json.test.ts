import { expect, it } from "vitest";
import { createJsonFinder } from "../../src/cli/find-json.ts";

/** What is found in an output that comes in these pieces. */
async function find(...pieces: string[]): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  const finder = createJsonFinder((value) => void found.push(value));
  for (const piece of pieces) await finder.write(piece);
  finder.end();
  return found;
}

const LONGEST_OBJECT = 16_000_000;
/** An object whose line has this length. */
const lineOf = (length: number) => `{"text":"${"x".repeat(length - '{"text":""}'.length)}"}`;

it("finds an object whose line is as long as it may be, and passes over a longer one, which may come in pieces", async () => {
  expect((await find(lineOf(LONGEST_OBJECT))).length).toBe(1);
  expect((await find(lineOf(LONGEST_OBJECT + 1))).length).toBe(0);
  const half = "x".repeat(LONGEST_OBJECT / 2);
  expect((await find('{"text":"', half, half, '"}')).length).toBe(0);
});

it("takes nothing of a line that is too long, and all of the next one", async () => {
  const half = "x".repeat(LONGEST_OBJECT / 2);
  expect(await find(half, half, "x", '{"end": "of the line"}\n{"next":', " 1}\n")).toEqual([{ next: 1 }]);
});

it("holds nothing of a line that is too long, which may be longer than any text of JavaScript", async () => {
  const piece = "x".repeat(LONGEST_OBJECT - 1);
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

it("takes objects out of an array whose line is longer than one object may be, also when the line is cut off", async () => {
  const long = lineOf(LONGEST_OBJECT / 2);
  expect((await find(`[${long},`, `${long},${long},`, '{"last": 1}, {"cut": "o')).slice(2)).toEqual([
    { text: expect.any(String) },
    { last: 1 },
  ]);
});

it("finds nothing within an object that is passed over", async () => {
  const spread = `{"texts": [\n${`"${"x".repeat(999_996)}",\n`.repeat(17)}\n  {"inner": 1}\n]}\n`;
  expect(await find(spread, '  {"next": 1}\n')).toEqual([{ next: 1 }]);
});

it.each(["[step 1]", '{"step"}', "{]}", "{step: 1}", '{"step": "one\n}'])(
  "finds the last object behind any number of lines %j",
  async (line) => {
    expect(await find(`${line}\n`.repeat(100_001), '{"last": 1}\nBye.\n')).toEqual([{ last: 1 }]);
  },
);
