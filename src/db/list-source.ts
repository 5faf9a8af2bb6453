/** Lists over tables: what a list is made of, and the SQL that finds the rows of one of its pages by an index. */
import { and, type Column, getTableName, type SQL, sql, type Table } from "drizzle-orm";

/** What a list is made of: rows of a table, ordered by a time, or a number that grows, and their id. */
export interface Source {
  table: Table;
  id: Column;
  time: Column;
  /** Only rows from `since` on and before `until`. */
  since?: number | undefined;
  until?: number | undefined;
  /** The rows of the list, in parts that have no row in common. */
  parts: Part[];
  /** A row's record. */
  record: SQL;
  /** About how many bytes that is in JSON, or more. */
  weight: SQL;
  order: "newest first" | "oldest first";
  /** Called when the list is empty. Throws where the list itself does not exist, such as the list of an unknown task. */
  whenEmpty?: () => Promise<unknown>;
}

/** About how many bytes the names and the short fields of a record take, for its `weight`. */
export const SHORT_FIELDS_BYTES = sql.raw("700");

/**
 * The most bytes that the text may take in JSON, in SQL; 0 for null. A control character takes 6. To count them would read each text, and 500 texts
 * of 10 KB took a seventh longer.
 */
export const mostBytesInJson = (text: SQL | Column) => sql`coalesce(6 * octet_length(${text}), 0)`;

/** Rows that one index has in the order of the list. */
export interface Part {
  /** A condition that an index answers, or that is true of all rows of an index. */
  where?: SQL | undefined;
  /**
   * Only rows with this value, where there is an index of that column, the time and the id. It is written as bounds, since with an SQL `=` the
   * planner might choose to walk past all newer rows of other values.
   */
  only?: { column: Column; value: string } | undefined;
  /** A condition that no index answers: the rows are read in their order and looked at one by one, at most `LOOKED_AT` for a page. */
  sift?: SQL | undefined;
  /** True where few rows match. All of them are read and then sorted, since the index of the order would be read to its end to find them. */
  isRare?: boolean | undefined;
}

/** The last row of a page, or the last that was looked at. */
export interface Cursor {
  time: number;
  id: string;
}

/** A page of a list: at most `limit` rows after `after`. `lookedAt` is `LOOKED_AT` but in tests. */
export interface Wanted {
  limit: number;
  after?: Cursor | undefined;
  lookedAt?: number | undefined;
}

/**
 * How many rows one page looks at, for what no index answers. Of a million tasks, 50,000 took 25 to 50 ms to look at, and up to two seconds
 * where they had to be read from the disk first.
 */
export const LOOKED_AT = 5_000;

/** The id before all others. */
const FIRST_ID = "00000000-0000-0000-0000-000000000000";

const listOf = (parts: (SQL | Column)[]) => sql.join(parts, sql`, `);
const unionOf = (names: SQL[]) => sql.join(names, sql` union all `);

/**
 * Two CTEs for a query: `found` has `id`, `time` and `weight` of one row more than `wanted.limit`, so that a query sees whether there are more.
 * `horizon` has a row only if the search stopped before it had found that number: the `time` and `id` up to which everything was looked at. Rows of
 * other parts beyond it wait for the next page.
 */
export function findRows(source: Source, { limit, after, lookedAt = LOOKED_AT }: Wanted): SQL {
  const rows = limit + 1;
  const isDescending = source.order === "newest first";
  const order = orderOf(source);
  const ctes: SQL[] = [];
  const found: SQL[] = [];
  const stops: SQL[] = [];
  for (const [n, part] of source.parts.entries()) {
    const [foundHere, stoppedHere] = [sql.raw(`found_${n}`), sql.raw(`stop_${n}`)];
    const { select, stop } = searchOf(source, part, after, rows, lookedAt);
    ctes.push(sql`${foundHere} as (${select})`);
    found.push(sql`(select * from ${foundHere})`);
    if (!stop) continue;
    ctes.push(
      sql`${stoppedHere} as (select * from (${stop}) as stop where (select count(*) from ${foundHere}) < ${rows}::int)`,
    );
    stops.push(sql`(select * from ${stoppedHere})`);
  }
  const none = sql`(select null::uuid as id, null::bigint as time where false)`;
  ctes.push(sql`horizon as (
      select time, id from (${unionOf([none, ...stops])}) as stops order by ${order} limit 1
    ), found as (
      select * from (${unionOf(found)}) as parts
      where coalesce((time, id) ${isDescending ? sql`>=` : sql`<=`} (select time, id from horizon), true)
      order by ${order} limit ${rows}
    )`);
  return sql.join(ctes, sql`, `);
}

/** The order of the list, for rows that have a `time` and an `id`. */
export function orderOf({ order }: Source): SQL {
  return order === "newest first" ? sql`time desc, id desc` : sql`time asc, id asc`;
}

/** What finds the rows of a part, and where a search that may end early has ended. */
function searchOf(source: Source, part: Part, after: Cursor | undefined, rows: number, lookedAt: number) {
  const { table, id, weight } = source;
  const { where, sift, isRare } = part;
  const time = isRare ? sql`${source.time} + 0` : source.time;
  const { within, order } = sliceOf(source, part, time, after);
  const found = sql`select ${id} as id, ${time} as time, coalesce(${weight}, 0) as weight`;
  const from = sql`from ${table} where`;
  if (!sift || isRare)
    return { select: sql`${found} ${from} ${and(sql`true`, where, sift, within)} order by ${order} limit ${rows}` };
  const walk = sql`${from} ${and(sql`true`, where, within)} order by ${order}`;
  const name = sql.identifier(getTableName(table));
  return {
    // The rows have the name of their table, so that conditions on its columns mean them.
    select: sql`${found} from (select * ${walk} limit ${lookedAt}) as ${name} where ${sift} order by ${order} limit ${rows}`,
    stop: sql`select ${id} as id, ${time} as time ${walk} limit 1 offset ${lookedAt - 1}`,
  };
}

/** The conditions and the order by which the index is read. */
function sliceOf(source: Source, { only }: Part, time: SQL | Column, after: Cursor | undefined) {
  const direction = source.order === "newest first" ? sql`desc` : sql`asc`;
  const keys = [...(only ? [only.column] : []), time, source.id];
  const value = only && sql`${only.value}::text`;
  const { lower, upper } = boundsOf(source, after);
  const at = (bound: Cursor) => listOf([...(value ? [value] : []), sql`${bound.time}::bigint`, sql`${bound.id}::uuid`]);
  // The query has one lower and one upper bound: of two lower bounds, PostgreSQL may start at the wider one.
  const bounds = [
    lower && sql`(${listOf(keys)}) ${lower.isOut ? sql`>` : sql`>=`} (${at(lower)})`,
    upper && sql`(${listOf(keys)}) < (${at(upper)})`,
    !lower && only && sql`${only.column} >= ${value}`,
    !upper && only && sql`${only.column} <= ${value}`,
  ];
  return {
    within: and(...bounds.filter((bound) => bound !== undefined && bound !== false)),
    order: listOf(keys.map((key) => sql`${key} ${direction}`)),
  };
}

/**
 * The narrowest bounds that the list's times and the cursor give. The row at the upper bound is not in the slice; the one at the lower bound is,
 * unless it `isOut`.
 */
function boundsOf({ since, until, order }: Source, after: Cursor | undefined) {
  const from = since === undefined ? undefined : { time: since, id: FIRST_ID, isOut: false };
  const to = until === undefined ? undefined : { time: until, id: FIRST_ID };
  if (!after) return { lower: from, upper: to };
  if (order === "newest first") return { lower: from, upper: to && to.time <= after.time ? to : after };
  return { lower: from && from.time > after.time ? from : { ...after, isOut: true }, upper: to };
}
