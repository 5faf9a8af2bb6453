import { and, type Column, type SQL, sql, type Table } from "drizzle-orm";
import type { Db } from "./client.ts";

/** What a list is made of: rows of a table, ordered by a time, or a number that grows, and their id. */
export interface Source {
  table: Table;
  id: Column;
  time: Column;
  where?: SQL | undefined;
  /**
   * Only rows with this value, where there is an index of that column, the time and the id. As an equality it would be left to the planner's
   * statistics whether all newer rows of other values are passed over, one by one.
   */
  only?: { column: Column; value: string } | undefined;
  /** A row's record. */
  record: SQL;
  /** About how many bytes that is. */
  weight: SQL;
  order: "newest first" | "oldest first";
  /** Asked when a page is empty: throws where that is because nobody has such a list. */
  whenEmpty?: () => Promise<unknown>;
  /** True where few rows match. All of them are read and then sorted, since the index of the order would be read to its end to find them. */
  isRare?: boolean;
}

/** The last row of a page. */
export interface Cursor {
  time: number;
  id: string;
}

export interface Page {
  /** Where the next page begins; undefined when there is none. */
  next: Cursor | undefined;
  /** How many rows the page has: fewer than asked for when there are no more rows, or the page has its most bytes. */
  rows: number;
  /** The records in their order as JSON, with commas between them; "" when there are none, or the first is large. */
  first: string;
  /** The other records, when all together are too many bytes for the memory. They come in batches. */
  rest: AsyncGenerator<string> | undefined;
}

/** The most bytes of records that are in memory at once, except for a single larger record. */
const BATCH_BYTES = 1_000_000;
/** The most bytes in a page, except for a single larger record. */
const PAGE_BYTES = 8_000_000;

/**
 * Reads a page of at most `limit` rows after `after`, and of 8 MB at most, but at least one row. A client that goes on to the next page meets the same
 * keys, however many rows have come in front of them meanwhile. Small records come in one query, as the JSON that is sent: for 500 tasks, to
 * read first the keys and then the rows took half as long again. Of large records only the keys come, and the records are then read in batches,
 * so that the page takes little memory whatever they hold.
 */
export async function openPage(
  db: Db,
  source: Source,
  { limit, after }: { limit: number; after?: Cursor | undefined },
): Promise<Page> {
  const { table, id, record, where, weight, isRare = false } = source;
  const time = isRare ? sql`${source.time} + 0` : source.time;
  const { within, order, place } = sliceOf(source, time, after);
  const { rows } = await db.execute<{
    first: string | null;
    rest: [string, number][] | null;
    next: Cursor | null;
    rows: number | null;
  }>(sql`
    with found as (
      select ${id} as id, ${time} as time, coalesce(${weight}, 0) as weight from ${table} where ${and(sql`true`, where, within)}
      order by ${order} limit ${limit + 1}
    ), keys as materialized (
      select *, row_number() over place as n, sum(weight) over place as total
      from found window place as (order by ${place})
    ), page as (
      select *, total > ${BATCH_BYTES}::int as is_late from keys where n <= ${limit} and (n = 1 or total <= ${PAGE_BYTES}::int)
    ), last as (
      select max(n) as n from page
    )
    select
      (select string_agg(json, ',') from (
        select (select (${record})::text from ${table} where ${id} = page.id) as json from page where not is_late order by n
      ) as records) as first,
      (select json_agg(json_build_array(page.id, weight) order by n) from page where is_late) as rest,
      (select json_build_object('time', time, 'id', page.id) from page join last using (n)
        where exists (select from keys where keys.n > last.n)) as next,
      (select n from last)::int as rows`);
  const { first, rest, next, rows: found } = rows[0] ?? {};
  if (!first && !rest) await source.whenEmpty?.();
  return {
    next: next ?? undefined,
    rows: found ?? 0,
    first: first ?? "",
    rest: rest ? each(db, source, split(rest)) : undefined,
  };
}

/** The conditions and the order by which the index is read, and the order of what was found, which has `time` and `id`. */
function sliceOf({ id, only, order }: Source, time: SQL | Column, after: Cursor | undefined) {
  const isDescending = order === "newest first";
  const direction = isDescending ? sql`desc` : sql`asc`;
  const keys = only ? [only.column, time, id] : [time, id];
  const value = only && sql`${only.value}::text`;
  const last = after && [...(value ? [value] : []), sql`${after.time}::bigint`, sql`${after.id}::uuid`];
  const bounds = [
    last && sql`(${listOf(keys)}) ${isDescending ? sql`<` : sql`>`} (${listOf(last)})`,
    // What comes after `last` begins there: with a second bound on that side the index would be read from that one.
    only && !(last && !isDescending) && sql`${only.column} >= ${value}`,
    only && !(last && isDescending) && sql`${only.column} <= ${value}`,
  ];
  return {
    within: and(...bounds.filter((bound) => bound !== undefined && bound !== false)),
    order: listOf(keys.map((key) => sql`${key} ${direction}`)),
    place: sql`time ${direction}, id ${direction}`,
  };
}

const listOf = (parts: (SQL | Column)[]) => sql.join(parts, sql`, `);

async function* each(db: Db, { table, id, record }: Source, batches: string[][]): AsyncGenerator<string> {
  for (const ids of batches) {
    const { rows } = await db.execute<{ json: string | null }>(sql`
      select string_agg((select (${record})::text from ${table} where ${id} = key.id), ',' order by n) as json
      from unnest(${sql.param(ids)}::uuid[]) with ordinality as key (id, n)`);
    if (rows[0]?.json) yield rows[0].json;
  }
}

function split(keys: [id: string, weight: number][]): string[][] {
  const batches: string[][] = [];
  let free = 0;
  for (const [id, bytes] of keys) {
    const batch = batches.at(-1);
    if (batch && bytes <= free) batch.push(id);
    else {
      batches.push([id]);
      free = BATCH_BYTES;
    }
    free -= bytes;
  }
  return batches;
}
