import { sql } from "drizzle-orm";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { analyzeGrownTables } from "../../src/db/analyze-grown-tables.ts";
import { openDatabase } from "../../src/db/client.ts";
import { checkDatabaseHealth } from "../../src/db/health.ts";
import { statement } from "../../src/db/statement.ts";
import { createTestDatabase } from "../support/database.ts";

const { url, query } = await createTestDatabase();

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

it("refuses a value that its text does not name: it would be lost", async () => {
  const given = { of: 2, by: 3 };
  expect(() => HALF(oneConnection(), given)).toThrow("does not use its value for by");
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

it("runs again what was rolled back for the sake of others, where the default isolation is not READ COMMITTED", async () => {
  const name = new URL(url).pathname.slice(1);
  await query(`alter database ${name} set default_transaction_isolation = 'serializable'`);
  onTestFinished(async () => void (await query(`alter database ${name} reset default_transaction_isolation`)));
  const { db, close } = openDatabase({ url, poolMax: 5 }, pino({ level: "silent" }));
  onTestFinished(close);
  await query("create table counted (n int)");
  await query("insert into counted values (0)");
  const COUNT = statement<{ n: number }, Record<string, never>>("count", sql`update counted set n = n + 1 returning n`);
  const once = (round: number) => (round % 2 ? COUNT(db, {}) : db.execute(sql`update counted set n = n + 1`));
  await Promise.all(Array.from({ length: 5 }, (_, round) => once(round)));
  expect(await query("select n from counted")).toEqual([{ n: 5 }]);
  const level = await db.transaction((tx) => tx.execute(sql`show transaction_isolation`));
  expect(level.rows).toEqual([{ transaction_isolation: "read committed" }]);
});

it("leaves no setting on its connection, which behind PgBouncer others get too", async () => {
  const db = oneConnection();
  await HALF(db, { of: 1 });
  await checkDatabaseHealth(db);
  const { rows } = await db.execute(sql`select name from pg_settings where source = 'session'`);
  expect(rows).toEqual([]);
});

it("is planned anew once its table has grown, without waiting for the server to notice", async () => {
  const db = oneConnection();
  const grow = (rows: number) =>
    query(
      "insert into audit_logs select gen_random_uuid(), n, 'a', 'e', 'i', 'b', repeat('d', 200) from generate_series(1, $1) n",
      [rows],
    );
  const pages = async () => (await query("select relpages from pg_class where relname = 'audit_logs'"))[0];
  await grow(1_000);
  expect(await analyzeGrownTables(db)).toContain("audit_logs");
  expect(await analyzeGrownTables(db)).toEqual([]);
  const before = await pages();
  await grow(3_000);
  expect(await analyzeGrownTables(db)).toEqual(["audit_logs"]);
  expect(await pages()).not.toEqual(before);
});
