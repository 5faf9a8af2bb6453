/** Columns by their names, so that a query reads the columns that the code names, and not all that the table has. */
import { getTableColumns, type SQL, sql, type Table } from "drizzle-orm";

/** The columns with these names as a list in SQL; `row` is the name of the row that they are of. */
export function columnsOf(names: readonly string[], row?: string): SQL {
  const prefix = row === undefined ? "" : `${row}.`;
  return sql.raw(names.map((name) => prefix + name).join(", "));
}

/** The columns with these names, for Drizzle's `select` and `returning`. */
export function pickColumns<Rows extends Table, Name extends keyof Rows["_"]["columns"] & string>(
  table: Rows,
  names: readonly Name[],
): Pick<Rows["_"]["columns"], Name> {
  const columns: Rows["_"]["columns"] = getTableColumns(table);
  return Object.fromEntries(names.map((name) => [name, columns[name]])) as Pick<Rows["_"]["columns"], Name>;
}

const FIELD_TYPES = ["uuid", "uuid[]", "text", "integer", "bigint", "boolean", "jsonb"] as const;
/** The types in SQL that fields of a statement's requests may have. */
export type FieldType = (typeof FIELD_TYPES)[number];

/** The types in SQL of the columns with these names. Throws an Error for a type that a statement's request cannot have. */
export function typesOf<Rows extends Table, Name extends keyof Rows["_"]["columns"] & string>(
  table: Rows,
  names: readonly Name[],
): Record<Name, FieldType> {
  const columns: Rows["_"]["columns"] = getTableColumns(table);
  const types = names.map((name) => {
    const sqlType = columns[name]?.getSQLType();
    const type = FIELD_TYPES.find((known) => known === sqlType);
    if (type === undefined)
      throw new Error(`The column ${name} has the type ${sqlType}, which is not among FIELD_TYPES.`);
    return [name, type];
  });
  return Object.fromEntries(types) as Record<Name, FieldType>;
}

/**
 * The JSON of a record in SQL: the columns with these names, and `more`, which is SQL such as `1 as n`. `row` is the name of the row that the columns
 * are of.
 */
export function jsonOf(names: readonly string[], more?: SQL, row?: string): SQL {
  const columns = columnsOf(names, row);
  const fields = more ? sql`${columns}, ${more}` : columns;
  return sql`(select row_to_json(record) from (select ${fields}) as record)`;
}
