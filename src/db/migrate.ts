import { join } from "node:path";
import { sql } from "drizzle-orm";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import { connectWritable } from "./connect-writable.ts";
import { inTransaction } from "./transaction.ts";

const MIGRATIONS_FOLDER = join(PACKAGE_FOLDER, "migrations");
/** The number of our advisory lock; no other program on this database may use the same. */
const LOCK = 0x626c6f6f6d;

/**
 * Applies the migrations that the database does not have yet, all in one transaction, and returns their number; `begin` gets it beforehand.
 * Instances that start together wait for each other on an advisory lock of the transaction: a lock of the session would not survive
 * PgBouncer in transaction mode. Drizzle's `migrate()` takes no lock and creates its bookkeeping table outside of its transaction, so it is
 * not used. The table and its format are the same, so `drizzle-kit migrate` agrees with this function.
 */
export async function migrate(url: string, begin: (pending: number) => void = () => {}): Promise<number> {
  const client = await connectWritable(url, { application_name: "bloom-runtime migrate" });
  const db = drizzle(client);
  // The isolation is named because the default of the database may differ.
  const readCommitted = {
    transaction: <T>(work: (tx: Pick<NodePgDatabase, "execute">) => Promise<T>) =>
      db.transaction(work, { isolationLevel: "read committed" }),
  };
  try {
    // A running instance may deadlock with the migration. The database rolls one of the two back, and inTransaction repeats the migration.
    return await inTransaction(readCommitted, (tx) => applyPending(tx, begin));
  } finally {
    await client.end();
  }
}

/**
 * Applies, in `tx`, the migrations among the first `upTo` that the database lacks, and returns their number; `begin` gets this number
 * beforehand. `tx` is a READ COMMITTED transaction, which waits while another instance migrates.
 */
export async function applyPending(
  tx: Pick<NodePgDatabase, "execute">,
  begin: (pending: number) => void,
  upTo = Number.POSITIVE_INFINITY,
): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`);
  await tx.execute(sql`create schema if not exists bloom_runtime`);
  await tx.execute(
    sql`create table if not exists bloom_runtime.migrations (id serial primary key, hash text not null, created_at bigint)`,
  );
  const pending = await pendingAfterLast(tx, upTo);
  if (pending.length > 0) begin(pending.length);
  for (const file of pending) {
    for (const statement of file.sql) await tx.execute(sql.raw(statement));
    await tx.execute(
      sql`insert into bloom_runtime.migrations (hash, created_at) values (${file.hash}, ${file.folderMillis})`,
    );
  }
  return pending.length;
}

/** The migrations of this version, in their order. */
export const migrationFiles = () => readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER });

/** The migrations that the database does not have yet. */
async function pendingAfterLast(db: Pick<NodePgDatabase, "execute">, upTo?: number) {
  const { rows } = await db.execute<{ last: string | null }>(
    sql`select max(created_at) as last from bloom_runtime.migrations`,
  );
  const last = Number(rows[0]?.last ?? 0);
  return migrationFiles()
    .slice(0, upTo)
    .filter((file) => file.folderMillis > last);
}

/** How many migrations of this version the database lacks. */
export async function countPendingMigrations(db: Pick<NodePgDatabase, "execute">): Promise<number> {
  return (await pendingAfterLast(db)).length;
}
