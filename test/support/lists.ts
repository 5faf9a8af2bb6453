import type { Db } from "../../src/db/client.ts";
import { openPage, type Source } from "../../src/db/pages.ts";

/** The records of a list's first page. */
export async function listed(db: Db, source: Source, limit = 500): Promise<Record<string, unknown>[]> {
  const { batches } = await openPage(db, source, { limit });
  const records: string[] = [];
  for await (const batch of batches) records.push(...batch);
  return records.map((record) => JSON.parse(record));
}
