import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { StartError } from "../errors.ts";
import { syncFolder } from "../fsync-folder.ts";
import {
  copyLine,
  copyOf,
  END_OF_ROWS,
  FIRST_LINE,
  LAST_LINE,
  migrationsLine,
  rowsLine,
  sequenceLine,
} from "./backup-file.ts";
import { CONNECT_WITHIN_MS } from "./connect-writable.ts";
import { countMigrations, ourSequences, ourTables } from "./our-tables.ts";
import { openServers } from "./servers.ts";

/** How many rows each table has, by its name. */
export type RowCounts = Record<string, number>;

/**
 * Writes all of our tables into the new file `path`, as gzipped text of one moment (backup-file.ts), and gives the number of rows of each. The
 * service may run meanwhile. The file is there whole or not at all, and only its owner may read it. Throws a StartError.
 *
 * pg_dump is not used: the embedded PostgreSQL does not bring it along, and an installed pg_dump refuses a newer server.
 */
export async function backUp(url: string, path: string): Promise<RowCounts> {
  const client = new pg.Client({
    connectionString: await openServers(url).findPrimary(),
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    application_name: "bloom-runtime backup",
  });
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query("begin isolation level repeatable read read only");
    const migrations = await countMigrations(client);
    if (migrations === 0)
      throw new StartError("The database has no tables of BLOOM Runtime: there is nothing to back up.");
    const rows: RowCounts = {};
    await writeWhole(path, textOf(client, migrations, rows));
    return rows;
  } finally {
    await client.end();
  }
}

async function* textOf(client: pg.Client, migrations: number, rows: RowCounts): AsyncGenerator<Buffer | string> {
  yield `${FIRST_LINE}\n${migrationsLine(migrations)}\n`;
  const tables = await ourTables(client);
  for (const table of tables) {
    yield `${copyLine(table.name, table.columns)}\n`;
    const stream = client.query(copyTo(copyOf(table.name, table.columns, "TO STDOUT")));
    yield* stream;
    rows[table.name] = stream.rowCount;
    yield `${END_OF_ROWS}\n${rowsLine(stream.rowCount)}\n`;
  }
  for (const { name, value, isCalled } of await ourSequences(client, tables))
    yield `${sequenceLine(name, value, isCalled)}\n`;
  yield `${LAST_LINE}\n`;
}

async function writeWhole(path: string, text: AsyncIterable<Buffer | string>): Promise<void> {
  const unfinished = `${path}.unfinished`;
  try {
    // Both names must be free: a backup is never written over another one.
    await (await open(path, "wx", 0o600)).close();
    const file = await open(unfinished, "wx", 0o600);
    try {
      await pipeline(Readable.from(text), createGzip(), file.createWriteStream({ flush: true }));
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      await rm(path, { force: true });
      throw error;
    }
    await syncFolder(dirname(path));
  } catch (error) {
    throw fileFault(error, path);
  }
}

function fileFault(error: unknown, path: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EEXIST")
    return new StartError(
      `${path}, or ${path}.unfinished of a backup that was ended, is there already: name another file, or remove it.`,
    );
  if (code === "ENOENT") return new StartError(`The folder ${dirname(path)} is not there: make it first.`);
  if (code === "ENOSPC" || code === "EDQUOT") return new StartError(`The disk of ${path} is full; no backup was made.`);
  if (code === "EACCES" || code === "EPERM" || code === "EROFS" || code === "EISDIR")
    return new StartError(`${path} cannot be written (${code}).`);
  return error;
}
