import { sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { type Cursor, findRows, orderOf, type Source, type Wanted } from "./list-source.ts";

export interface Page {
  /** The row after which the next page begins; undefined when there is no next page. */
  next: Cursor | undefined;
  /** How many rows the page has: fewer than asked for when there are no more rows, or the page has its most bytes. */
  rows: number;
  /** The records in their order as JSON, with commas between them; "" when there are none, or the first is large. */
  first: string;
  /** The other records, when all together are too many bytes for the memory. They come in batches. */
  following: AsyncGenerator<string> | undefined;
}

/** The most bytes of records that are in memory at once, except for a single larger record. */
const BATCH_BYTES = 1_000_000;
/** The most bytes of records in a page, except for a single larger record. */
export const PAGE_BYTES = 8_000_000;

/**
 * Reads a page of at most `limit` rows after `after`, and of 8 MB at most, but at least one row where the list has no part that is sifted. A client
 * that goes on to the next page meets the same keys, however many rows have come in front of them meanwhile. Small records come in one query, as
 * the JSON that is sent: for 500 tasks, to read first the keys and then the rows took half as long again. Of large records only the keys come, and
 * the records are then read in batches, so that the page takes little memory whatever they hold.
 */
export async function openPage(db: Db, source: Source, wanted: Wanted): Promise<Page> {
  const { table, id, record } = source;
  const order = orderOf(source);
  const { rows } = await db.execute<{
    first: string | null;
    following: [string, number][] | null;
    next: Cursor | null;
    rows: number | null;
  }>(sql`
    with ${findRows(source, wanted)}, keys as materialized (
      select *, row_number() over in_order as n, sum(weight) over in_order as total
      from found window in_order as (order by ${order})
    ), page as (
      select *, total > ${BATCH_BYTES}::int as is_late from keys where n <= ${wanted.limit} and (n = 1 or total <= ${PAGE_BYTES}::int)
    ), last as (
      select max(n) as n from page
    )
    select
      (select string_agg(json, ',') from (
        select (select (${record})::text from ${table} where ${id} = page.id) as json from page where not is_late order by n
      ) as records) as first,
      (select json_agg(json_build_array(page.id, weight) order by n) from page where is_late) as following,
      coalesce(
        (select json_build_object('time', time, 'id', page.id) from page join last using (n)
          where exists (select from keys where keys.n > last.n)),
        (select json_build_object('time', time, 'id', id) from horizon)) as next,
      (select n from last)::int as rows`);
  const { first, following, next, rows: found } = rows[0] ?? {};
  if (!first && !following && !next) await source.whenEmpty?.();
  return {
    next: next ?? undefined,
    rows: found ?? 0,
    first: first ?? "",
    following: following ? each(db, source, split(following)) : undefined,
  };
}

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
