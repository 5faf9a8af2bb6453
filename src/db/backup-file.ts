/**
 * The text of a backup: comments, and for each table a COPY of PostgreSQL with its rows, so that psql can read it too.
 *
 *   -- BLOOM Runtime backup 1
 *   -- migrations 33
 *   COPY public.leases (id, …) FROM stdin;
 *   …one row a line
 *   \.
 *   -- rows 12
 *   SELECT pg_catalog.setval('public.audit_logs_seq_seq', 57, true);
 *   -- end of backup
 */
import { StartError } from "../errors.ts";

export const FIRST_LINE = "-- BLOOM Runtime backup 1";
export const LAST_LINE = "-- end of backup";
/** The line after the last row of a table. */
export const END_OF_ROWS = "\\.";

export const migrationsLine = (count: number) => `-- migrations ${count}`;
/** A COPY of the table; `where` is `FROM STDIN` or `TO STDOUT`. The names need no quotes but where they are words of SQL, such as `timestamp`. */
export const copyOf = (table: string, columns: string[], where: string) =>
  `COPY public.${table} (${columns.map((name) => `"${name}"`).join(", ")}) ${where}`;
export const copyLine = (table: string, columns: string[]) => copyOf(table, columns, "FROM stdin;");
export const rowsLine = (count: number) => `-- rows ${count}`;
export const sequenceLine = (name: string, value: string, isCalled: boolean) =>
  `SELECT pg_catalog.setval('public.${name}', ${value}, ${isCalled});`;

/** What a line outside of a table's rows says; undefined for a comment and an empty line. */
export type Command =
  | { kind: "copy"; table: string; columns: string[] }
  | { kind: "rows"; count: number }
  | { kind: "sequence"; name: string; value: string; isCalled: boolean }
  | { kind: "end" };

const COPY = /^COPY public\.([a-z_]+) \(("[a-z0-9_]+"(?:, "[a-z0-9_]+")*)\) FROM stdin;$/;
const ROWS = /^-- rows (\d{1,15})$/;
const SEQUENCE = /^SELECT pg_catalog\.setval\('public\.([a-z_]+)', (\d{1,19}), (true|false)\);$/;
const MIGRATIONS = /^-- migrations (\d{1,6})$/;

/** Reads the command of a line. Throws a StartError for a line that is not of a backup. */
export function commandOf(line: string): Command | undefined {
  if (line === LAST_LINE) return { kind: "end" };
  const [, table, columns] = COPY.exec(line) ?? [];
  if (table && columns) return { kind: "copy", table, columns: columns.split(", ").map((name) => name.slice(1, -1)) };
  const [, count] = ROWS.exec(line) ?? [];
  if (count) return { kind: "rows", count: Number(count) };
  const [, name, value, isCalled] = SEQUENCE.exec(line) ?? [];
  if (name && value) return { kind: "sequence", name, value, isCalled: isCalled === "true" };
  if (line === "" || line.startsWith("--")) return undefined;
  throw new StartError(`Not a line of a backup: ${line.slice(0, 80)}`);
}

/** How many migrations the database of the backup had, by the first two lines. Throws a StartError when the file is no backup. */
export function migrationsIn(first: string | undefined, second: string | undefined): number {
  const [, count] = MIGRATIONS.exec(second ?? "") ?? [];
  if (first !== FIRST_LINE || count === undefined)
    throw new StartError("The file is no backup of BLOOM Runtime: it was not written by `npm run backup`.");
  return Number(count);
}
