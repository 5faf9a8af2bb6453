/** Our tables in a database, which may be of an earlier version, with their columns and sequences, and how many migrations it has: for backup and restore. */
import type pg from "pg";

/**
 * A table with the columns that are stored, in their order; PostgreSQL computes the others. The number of a transaction is not among them, since
 * it means nothing on another database server: restored rows get the number of the transaction that restores them.
 */
export interface OurTable {
  name: string;
  columns: string[];
}

/** Tables that every version had, or that begin with the prefix of ours; the database may be shared with other services. */
const OURS = `(table_name in ('llm_tasks', 'leases', 'workers', 'llm_results', 'audit_logs') or table_name like 'runtime\\_%')`;

/** Our tables by name; none when the database was never migrated. */
export async function ourTables(client: pg.ClientBase): Promise<OurTable[]> {
  const { rows } = await client.query<OurTable>(
    `select table_name as name, array_agg(column_name::text order by ordinal_position) as columns
     from information_schema.columns join information_schema.tables using (table_schema, table_name)
     where table_schema = 'public' and table_type = 'BASE TABLE' and is_generated = 'NEVER' and ${OURS}
       and column_default is distinct from 'pg_current_xact_id()'
     group by table_name order by table_name`,
  );
  return rows;
}

/** How many migrations the database has; 0 when it was never migrated. */
export async function countMigrations(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ is_there: boolean }>(
    "select to_regclass('bloom_runtime.migrations') is not null as is_there",
  );
  if (!rows[0]?.is_there) return 0;
  const counted = await client.query<{ count: number }>("select count(*)::int as count from bloom_runtime.migrations");
  return counted.rows[0]?.count ?? 0;
}

/** The sequences of our tables, with the value that each gave last. */
export async function ourSequences(
  client: pg.ClientBase,
  tables: OurTable[],
): Promise<{ name: string; value: string; isCalled: boolean }[]> {
  const found: { name: string; value: string; isCalled: boolean }[] = [];
  for (const { name, columns } of tables) {
    const { rows } = await client.query<{ sequence: string }>(
      `select c.relname as sequence from unnest($2::text[]) as column_name
       join pg_class c on c.oid = pg_get_serial_sequence('public.' || quote_ident($1), column_name)::regclass`,
      [name, columns],
    );
    for (const { sequence } of rows) {
      const { rows: values } = await client.query<{ last_value: string; is_called: boolean }>(
        `select last_value::text, is_called from public."${sequence}"`,
      );
      for (const { last_value, is_called } of values)
        found.push({ name: sequence, value: last_value, isCalled: is_called });
    }
  }
  return found;
}
