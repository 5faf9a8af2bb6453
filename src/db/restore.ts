import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { from as copyIn } from "pg-copy-streams";
import { StartError } from "../errors.ts";
import type { RowCounts } from "./backup.ts";
import { type Command, commandOf, copyOf, END_OF_ROWS, migrationsIn } from "./backup-file.ts";
import { connectWritable } from "./connect-writable.ts";
import { applyPending, migrationFiles } from "./migrate.ts";
import { countMigrations, ourTables } from "./our-tables.ts";
import { byLines } from "./split-lines.ts";

/**
 * Restores the backup `path` into the empty database at `url`, and gives the number of rows of each table. First come the migrations that the backup
 * had, then its rows, then the migrations since, all in one transaction: what fails leaves nothing behind. Throws a StartError when the
 * database is not empty, or the file is no whole backup, or one of a later version.
 */
export async function restore(url: string, path: string): Promise<RowCounts> {
  const client = await connectWritable(url, { application_name: "bloom-runtime restore" });
  try {
    await client.query("begin isolation level read committed");
    const rows = await load(client, byLines(bytesOf(path)));
    await client.query("commit");
    return rows;
  } finally {
    await client.end();
  }
}

async function load(client: pg.Client, lines: AsyncGenerator<Buffer>): Promise<RowCounts> {
  const next = async () => (await lines.next()).value?.toString();
  const migrations = migrationsIn(await next(), await next());
  await prepareTables(client, migrations);
  const rows: RowCounts = {};
  const sequences: (Command & { kind: "sequence" })[] = [];
  for (let isOver = false; !isOver; ) {
    const line = await next();
    if (line === undefined) throw notWhole();
    const command = commandOf(line);
    if (command?.kind === "copy") rows[command.table] = await loadRows(client, command, lines);
    if (command?.kind === "sequence") sequences.push(command);
    isOver = command?.kind === "end";
  }
  // No rollback would undo this, so that it comes after all that may be wrong with the file.
  for (const { name, value, isCalled } of sequences)
    await client.query("select setval($1::regclass, $2, $3)", [`public."${name}"`, value, isCalled]);
  await applyPending(drizzle(client), () => {});
  return rows;
}

/** Makes empty tables as they were at the backup. Throws a StartError where that is not possible. */
async function prepareTables(client: pg.Client, migrations: number): Promise<void> {
  const known = migrationFiles().length;
  if (migrations > known)
    throw new StartError(
      `The backup is of a later version of BLOOM Runtime (it has ${migrations} migrations, this version ${known}): restore it with that version.`,
    );
  await applyPending(drizzle(client), () => {}, migrations);
  const there = await countMigrations(client);
  if (there > migrations)
    throw new StartError(
      `The database has tables of a later version than the backup (${there} migrations, the backup ${migrations}): restore into a new database.`,
    );
  for (const { name } of await ourTables(client)) {
    await client.query(`lock table public."${name}" in access exclusive mode`);
    const { rows } = await client.query<{ count: number }>(`select count(*)::int as count from public."${name}"`);
    const count = rows[0]?.count ?? 0;
    if (count > 0)
      throw new StartError(
        `The database is not empty: ${name} has ${count} row(s). Restore into a new one: a new database at DATABASE_URL, or another folder as DATA_DIR.`,
      );
  }
}

/** Triggers are off meanwhile: one of them, for example, refuses new bytes for an artifact that exists already, as restored artifacts do. */
async function loadRows(
  client: pg.Client,
  { table, columns }: Command & { kind: "copy" },
  lines: AsyncGenerator<Buffer>,
): Promise<number> {
  let loaded = 0;
  async function* text(): AsyncGenerator<Buffer> {
    for await (const line of { [Symbol.asyncIterator]: () => ({ next: () => lines.next() }) }) {
      if (line.equals(END)) return;
      loaded += 1;
      yield line;
      yield NEWLINE;
    }
    throw notWhole();
  }
  await client.query(`alter table public."${table}" disable trigger user`);
  await pipeline(text, client.query(copyIn(copyOf(table, columns, "FROM STDIN"))));
  await client.query(`alter table public."${table}" enable trigger user`);
  const counted = commandOf((await lines.next()).value?.toString() ?? "");
  if (counted?.kind !== "rows" || counted.count !== loaded) throw notWhole();
  return loaded;
}

const END = Buffer.from(END_OF_ROWS);
const NEWLINE = Buffer.from("\n");

async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  const unpacked = createGunzip();
  const file = createReadStream(path).on("error", (error) => unpacked.destroy(error));
  try {
    yield* file.pipe(unpacked);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") throw new StartError(`${path} is not there.`);
    if (/^E[A-Z]+$/.test(code)) throw new StartError(`${path} cannot be read (${code}).`);
    if (code.startsWith("Z_")) throw new StartError(`${path} is damaged, or is no backup of BLOOM Runtime (${code}).`);
    throw error;
  } finally {
    file.destroy();
  }
}

function notWhole(): StartError {
  return new StartError("The backup is not whole: it ends too early, or rows of it are missing. Nothing was restored.");
}
