import type pg from "pg";
import type { LoadResult } from "./load.ts";

/** What each lifecycle of a load left in the database and in its log. */
export interface Growth {
  bytesEach: number;
  walBytesEach: number;
}

/** Runs the load and measures the database before and after it. */
export async function growthOf<Result extends LoadResult>(
  client: pg.Client,
  run: () => Promise<Result>,
): Promise<Result & Growth> {
  const measure = async () => {
    const { rows } = await client.query<{ bytes: number; wal: number }>(
      `select pg_database_size(current_database())::float8 as bytes, (pg_current_wal_lsn() - '0/0')::float8 as wal`,
    );
    return rows[0] ?? { bytes: Number.NaN, wal: Number.NaN };
  };
  // The first change of a page after a checkpoint writes the whole page to the log.
  await client.query("checkpoint");
  const before = await measure();
  const result = await run();
  const after = await measure();
  const each = (bytes: number) => Math.round(bytes / result.everDone);
  return { ...result, bytesEach: each(after.bytes - before.bytes), walBytesEach: each(after.wal - before.wal) };
}
