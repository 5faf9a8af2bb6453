import { sql } from "drizzle-orm";
import pg from "pg";
import { pino } from "pino";
import { expect, it, onTestFinished, vi } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { statement } from "../../src/db/statement.ts";
import { createTestDatabase } from "../support/database.ts";

const { url } = await createTestDatabase();

/** A database with one connection, so that the next statement meets what the last one left. */
function oneConnection() {
  const { db, close } = openDatabase({ url, poolMax: 1 }, pino({ level: "silent" }));
  onTestFinished(close);
  return db;
}

const HALF = statement<{ half: number }, { of: number | null }>(
  "half",
  sql`select 8::bigint / ${sql.placeholder("of")}::bigint as half`,
);

it("gives whole numbers as numbers, and null as null", async () => {
  const db = oneConnection();
  expect(await HALF(db, { of: 2 })).toEqual([{ half: 4 }]);
  expect(await HALF(db, { of: null })).toEqual([{ half: null }]);
});

it("refuses to run without a value that its text names: null would mean something else", async () => {
  const misspelt = statement<{ fence: string }, { leaseId: string }>(
    "misspelt",
    sql`select coalesce(${sql.placeholder("leaseID")}, 'any') as fence`,
  );
  await expect(async () => misspelt(oneConnection(), { leaseId: "this one" })).rejects.toThrow("no value for leaseID");
});

it("runs again without a name where the connection does not know it, and its errors lead to the caller each time", async () => {
  const db = oneConnection();
  const failing = async () => HALF(db, { of: 0 });
  const expected = { code: "22012", stack: expect.stringContaining("statement.test.ts") };
  await expect(failing()).rejects.toMatchObject(expected);
  await HALF(db, { of: 1 });
  await db.execute(sql`deallocate all`);
  await expect(failing()).rejects.toMatchObject(expected);
  expect(await HALF(db, { of: 4 })).toEqual([{ half: 2 }]);
});

it("is described once on each connection, and once more when its first run failed", async () => {
  const db = oneConnection();
  const described = vi.spyOn(pg.Connection.prototype, "describe");
  onTestFinished(() => described.mockRestore());
  await expect(HALF(db, { of: 0 })).rejects.toThrow("division by zero");
  for (const of of [1, 2, 4]) expect(await HALF(db, { of })).toEqual([{ half: 8 / of }]);
  expect(described).toHaveBeenCalledTimes(2);
});

it("takes texts, numbers, booleans, null and lists of texts as they are", async () => {
  const given = {
    text: "ü \\ \" ' {a,b}",
    number: -1.5,
    boolean: false,
    nothing: null,
    list: ["", "null", "a,b", '"\\"', "{}", " ü "],
  };
  const value = (name: keyof typeof given) => sql.placeholder(name);
  const ECHO = statement<typeof given, typeof given>(
    "echo",
    sql`select ${value("text")}::text as text, ${value("number")}::float8 as number, ${value("boolean")}::boolean as boolean,
      ${value("nothing")}::text as nothing, ${value("list")}::text[] as list`,
  );
  const db = oneConnection();
  for (let n = 0; n < 2; n++) expect(await ECHO(db, given)).toEqual([given]);
});

it("that is not any more what it was described as fails, and nothing else does", async () => {
  const db = oneConnection();
  const AS_JSON = statement<{ given: unknown }, { given: string }>(
    "as_json",
    sql`select ${sql.placeholder("given")}::jsonb as given`,
  );
  expect(await AS_JSON(db, { given: "[1]" })).toEqual([{ given: [1] }]);
  const { rows } = await db.execute<{ name: string }>(
    sql`select name from pg_prepared_statements where name like 'as_json%'`,
  );
  await db.execute(sql.raw(`deallocate ${rows[0]?.name}`));
  await db.execute(sql.raw(`prepare ${rows[0]?.name} as select $1::text as given`));
  await expect(AS_JSON(db, { given: "no JSON" })).rejects.toThrow("is not valid JSON");
  expect(await AS_JSON(db, { given: "[2]" })).toEqual([{ given: [2] }]);
});
