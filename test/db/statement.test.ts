import { sql } from "drizzle-orm";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
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
