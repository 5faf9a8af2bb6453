import { and, type Column, getTableName, type SQL, sql, type Table } from "drizzle-orm";
import type { Db } from "./client.ts";

/** What a list is made of: rows of a table, ordered by a time and their id. */
export interface Source {
  table: Table;
  id: Column;
  time: Column;
  where?: SQL | undefined;
  /** A row's record. */
  record: SQL;
  /** About how many bytes that is. */
  weight: SQL;
  order: "newest first" | "oldest first";
  /** Few rows match, and all of them are read: the index of the order would be read to its end for them. */
  isRare?: boolean;
}

/** The row that a page ends with. */
export interface Cursor {
  time: number;
  id: string;
}

export interface Page {
  /** Where the next one begins; undefined when there is none. */
  next: Cursor | undefined;
  /** The records in their order as JSON, some at once. */
  batches: string[][] | AsyncGenerator<string[]>;
}

/** Of what is held in memory at once; a single record may be larger. */
const BATCH_BYTES = 1_000_000;

/**
 * At most `limit` rows after `after`. The same keys are met by whoever pages on, however many rows have come before them since. The keys are
 * read first, so that a page of large records goes out in batches, and memory stays flat whatever they hold.
 */
export async function openPage(
  db: Db,
  source: Source,
  { limit, after }: { limit: number; after?: Cursor | undefined },
): Promise<Page> {
  const { table, id, where, weight, isRare = false } = source;
  const time = isRare ? sql`${source.time} + 0` : source.time;
  const [direction, comparison] = source.order === "newest first" ? [sql`desc`, sql`<`] : [sql`asc`, sql`>`];
  const isAfter = after && sql`(${time}, ${id}) ${comparison} (${after.time}::bigint, ${after.id}::uuid)`;
  const { rows } = await db.execute<{ id: string; time: string; weight: string }>(sql`
    select ${id}, ${time} as time, ${weight} as weight from ${table} where ${and(sql`true`, where, isAfter)}
    order by ${time} ${direction}, ${id} ${direction} limit ${limit + 1}`);
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  const batches = split(rows.slice(0, limit));
  const records = (ids: string[]) => recordsOf(db, source, ids);
  return {
    next: last && { time: Number(last.time), id: last.id },
    batches: batches.length > 1 ? each(batches, records) : await Promise.all(batches.map(records)),
  };
}

async function* each(batches: string[][], records: (ids: string[]) => Promise<string[]>): AsyncGenerator<string[]> {
  for (const ids of batches) yield await records(ids);
}

function split(rows: { id: string; weight: string }[]): string[][] {
  const batches: string[][] = [];
  let free = 0;
  for (const { id, weight } of rows) {
    const bytes = Number(weight ?? 0);
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

/** As JSON from the database: building it there and passing it on costs a third of parsing rows and writing them again. */
async function recordsOf(db: Db, { table, id, record }: Source, ids: string[]): Promise<string[]> {
  const { rows } = await db.execute<{ id: string; json: string }>(
    sql`select ${id}, (${record})::text as json from ${table} where ${id} = any(${sql.param(ids)}::uuid[])`,
  );
  const found = new Map(rows.map((row) => [row.id, row.json]));
  return ids.flatMap((key) => found.get(key) ?? []);
}

/** The record of a row that has no other fields than its columns. */
export function wholeRow(table: Table): SQL {
  return sql`row_to_json(${sql.identifier(getTableName(table))})`;
}
