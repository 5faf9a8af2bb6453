import { join } from "node:path";
import { sql } from "drizzle-orm";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import { inTransaction } from "./transaction.ts";
import { connectWritable } from "./writable-connection.ts";

const MIGRATIONS_FOLDER = join(PACKAGE_FOLDER, "migrations");
/** Any number that no other program takes for its advisory lock on this database. */
const LOCK = 0x626c6f6f6d;

/**
 * Applies the migrations that the database does not have yet, all in one transaction, and gives their number; `begin` is told it before.
 * Instances that start together wait for each other on an advisory lock, which ends with the transaction: a session's lock would not
 * survive PgBouncer in transaction mode. That is why this is not drizzle's `migrate()`, which takes no lock and creates its bookkeeping
 * table outside its transaction; table and format are the same, so `drizzle-kit migrate` agrees with it.
 */
export async function migrate(url: string, begin: (pending: number) => void = () => {}): Promise<number> {
  const client = await connectWritable({ connectionString: url, application_name: "bloom-runtime migrate" });
  const db = drizzle(client);
  // The default of the database may be another isolation.
  const readCommitted = {
    transaction: <T>(work: (tx: Pick<NodePgDatabase, "execute">) => Promise<T>) =>
      db.transaction(work, { isolationLevel: "read committed" }),
  };
  try {
    // While another instance works with the tables, the two may wait for each other; the database then rolls one of them back.
    return await inTransaction(readCommitted, (tx) => applyPending(tx, begin));
  } finally {
    await client.end();
  }
}

async function applyPending(tx: Pick<NodePgDatabase, "execute">, begin: (pending: number) => void): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`);
  await tx.execute(sql`create schema if not exists bloom_runtime`);
  await tx.execute(
    sql`create table if not exists bloom_runtime.migrations (id serial primary key, hash text not null, created_at bigint)`,
  );
  const { rows } = await tx.execute<{ last: string | null }>(
    sql`select max(created_at) as last from bloom_runtime.migrations`,
  );
  const last = Number(rows[0]?.last ?? 0);
  const pending = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).filter(
    (file) => file.folderMillis > last,
  );
  if (pending.length > 0) begin(pending.length);
  for (const file of pending) {
    for (const statement of file.sql) await tx.execute(sql.raw(statement));
    await tx.execute(
      sql`insert into bloom_runtime.migrations (hash, created_at) values (${file.hash}, ${file.folderMillis})`,
    );
  }
  return pending.length;
}
