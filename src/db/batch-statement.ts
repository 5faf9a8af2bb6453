import { type SQL, sql } from "drizzle-orm";
import type { Db, Value } from "./client.ts";
import type { FieldType } from "./column-lists.ts";
import { statement } from "./statement.ts";

/** Whether a statement passes over what somebody else has locked, or waits for it. */
export type Locks = "skips locked" | "waits";
/** Whether a statement is for one request, or for a batch of them, which may want the same. */
export type Size = "one" | "batch";

/** A statement that makes the same transition for each of a batch of requests. */
export interface BatchStatement<Row, Request> {
  /**
   * Runs it for the whole batch, in one commit. Gives a row for each request, in their order; undefined where it was not allowed, or
   * something was locked.
   */
  together(db: Db, requests: readonly Request[]): Promise<(Row | undefined)[]>;
  /**
   * For a statement that may refuse in a batch what it would grant alone, such as a claim. Tries one request, and skips what is locked. Undefined:
   * something was locked.
   */
  unlessLocked?(db: Db, request: Request): Promise<Row | undefined>;
  /** Runs it for one request, and waits for what is locked. Undefined: it was not allowed. */
  alone(db: Db, request: Request): Promise<Row | undefined>;
}

/**
 * A statement for a batch of requests, whose text begins with the CTE `request`: a row for each, with its `ordinal` and the fields of `types`. `body`
 * gives the CTEs that follow, and a SELECT with the `ordinal` of each request that has an answer. Gives a row for each, in their order.
 */
export function statementForBatch<Row extends object, Request extends object>(
  name: string,
  types: Readonly<Record<keyof Request & string, FieldType>>,
  body: SQL,
): (db: Db, requests: readonly Request[]) => Promise<(Row | undefined)[]> {
  const record = sql.raw(
    Object.entries<FieldType>(types)
      .map(([field, type]) => `${field} ${type}`)
      .join(", "),
  );
  // The condition is always true, and makes the planner expect a row or two instead of a hundred: for a hundred it would read a small table as a
  // whole, and go on with that plan when the table has grown.
  const batch = statement<Row & { ordinal: number }, { requests: string }>(
    name,
    sql`with recursive request as (
      select * from json_to_recordset(${sql.placeholder("requests")}::json) as request(ordinal integer, ${record}) where ordinal + 0 = ordinal
    ), ${body}`,
    { waitsFor: "tables" },
  );
  return async (db, requests) => {
    const rows = await batch(db, {
      requests: JSON.stringify(requests.map((request, ordinal) => ({ ordinal, ...request }))),
    });
    const answers = new Array<Row | undefined>(requests.length).fill(undefined);
    for (const row of rows) answers[row.ordinal] = row;
    return answers;
  };
}

/**
 * A statement whose text begins with the CTE `request`: a row for each request of a batch, with its `ordinal` and the fields of `types`. `body`
 * gives the CTEs that follow, and a SELECT with the `ordinal` of each request whose transition was made. A batch of more than one travels as
 * JSON. One request travels as a value for each field, which needs no copy of a long text. Fields of `jsonb` are given as values, and not as
 * their text.
 */
export function batchStatement<Row extends object, Request extends Record<string, unknown>>(
  name: string,
  types: Readonly<Record<keyof Request & string, FieldType>>,
  body: (locks: Locks, size: Size) => SQL,
): BatchStatement<Row, Request> {
  const fields = Object.entries<FieldType>(types);
  const columns = fields.map(([field, type]) => sql`${sql.placeholder(field)}::${sql.raw(type)} as ${sql.raw(field)}`);
  // Inlined, so that a long text is not copied into the CTE's own memory, or onto the disk where it is longer than `work_mem`.
  const single = (locks: Locks) =>
    sql`with recursive request as not materialized (select 0 as ordinal, ${sql.join(columns, sql`, `)}), ${body(locks, "one")}`;
  const one = statement<Row, Record<string, Value>>(name, single("skips locked"), { waitsFor: "tables" });
  const waiting = statement<Row, Record<string, Value>>(`${name}_waiting`, single("waits"), { waitsFor: "rows" });
  const batch = statementForBatch<Row, Request>(`${name}_batch`, types, body("skips locked", "batch"));
  const valuesOf = (request: Request): Record<string, Value> => {
    const values: Record<string, Value> = {};
    for (const field in request) {
      const value = request[field];
      // A field of another type holds a value that the driver takes as it is.
      values[field] = types[field] === "jsonb" && value !== null ? JSON.stringify(value) : (value as Value);
    }
    return values;
  };
  return {
    async together(db, requests) {
      const [first] = requests;
      if (requests.length !== 1 || first === undefined) return await batch(db, requests);
      return [(await one(db, valuesOf(first)))[0]];
    },
    alone: async (db, request) => (await waiting(db, valuesOf(request)))[0],
  };
}
