import { sql } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { messageOf, stackOf } from "../src/errors.ts";
import { createLog } from "../src/log.ts";
import { readableLine } from "../src/readable-log-line.ts";
import { createTestDatabase } from "./support/database.ts";

const { db, query } = await createTestDatabase();
const SECRET = "what nobody else may read";
await query("create table checked (text text check (text like 'a%'), number int)");

/** What Drizzle throws of a query with the secret as a parameter. */
async function failedQuery(): Promise<Error> {
  const failing = db.execute(sql`insert into checked values (${SECRET}, 5)`);
  return failing.then(
    () => expect.unreachable(),
    (error) => error,
  );
}

function logged(error: unknown): { text: string; line: Record<string, unknown> } {
  const lines: string[] = [];
  const log = createLog("trace", { write: (line: string) => void lines.push(line) });
  log.error({ err: error }, "it failed");
  const text = lines.join();
  return { text, line: JSON.parse(text).err };
}

describe("a failed query", () => {
  it("is told by what the database says of it, without its parameters", async () => {
    const error = await failedQuery();
    expect(error.message).toContain(SECRET);
    const why = 'new row for relation "checked" violates check constraint "checked_text_check"';
    expect(messageOf(error)).toBe(why);
    expect(messageOf(Object.assign(new Error(SECRET), { params: [SECRET] }))).toBe("A query failed.");
    expect(stackOf(error)).toMatch(/^Error: new row .*\n {4}at [\s\S]*\ncaused by error: new row .*\n {4}at /);
    for (const wrapped of [error, new Error("outer", { cause: new Error("inner", { cause: error }) })]) {
      const { text, line } = logged(wrapped);
      expect(line).toMatchObject({ code: "23514", constraint: "checked_text_check", query: expect.any(String) });
      expect(text + stackOf(wrapped)).not.toContain(SECRET);
      expect(text).toContain(JSON.stringify(why).slice(1, -1));
    }
  });
});

it("an error without words of its own is told by those within, and what is no error by its text", () => {
  const refused = new AggregateError([new Error("refused at ::1"), new Error("refused at 127.0.0.1")]);
  expect(messageOf(refused)).toBe("refused at ::1; refused at 127.0.0.1");
  expect([messageOf("five"), stackOf(5), stackOf(null)]).toEqual(["five", "5", "null"]);
  expect(logged("five").line).toMatchObject({ type: "string", message: "five" });
  expect(logged(new TypeError("wrong")).line).toMatchObject({
    type: "TypeError",
    message: "wrong",
    stack: expect.stringMatching(/^TypeError: wrong\n {4}at /),
  });
});

it("a line for a terminal has the time, the level and the fields, and none of what is logged gets at the terminal", () => {
  const lines: string[] = [];
  const log = createLog("trace", { write: (line: string) => void lines.push(readableLine(line)) });
  log.info({ path: "/api/runtime/stats", status: 200 }, "request");
  log.warn({ name: "two words\u001b[31m\nand more" }, "odd\u009b1m");
  log.error({ err: new TypeError("wrong\u001b[2J") }, "it failed");
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}request path=\/api\/runtime\/stats status=200\n$/);
  expect(lines[1]).toMatch(/ WARN {2}odd\\u009b1m name="two words\\u001b\[31m\\nand more"\n$/);
  expect(lines[2]).toMatch(/ ERROR it failed\n {4}TypeError: wrong\\u001b\[2J\n {8}at /);
});
