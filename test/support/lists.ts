import type { Db } from "../../src/db/client.ts";
import type { Source } from "../../src/db/list-source.ts";
import { openPage } from "../../src/db/pages.ts";
import { historyOf } from "../../src/queue/history.ts";

/** The records of a list's first page. */
export async function listed(db: Db, source: Source, limit = 500): Promise<Record<string, unknown>[]> {
  const { first, following } = await openPage(db, source, { limit });
  const records = first === "" ? [] : [first];
  if (following) for await (const batch of following) records.push(batch);
  return JSON.parse(`[${records.join(",")}]`);
}

/** What a task's history tells, oldest first. */
export const history = async (db: Db, taskId: string) => listed(db, historyOf(db, taskId));
export const actionsInHistory = async (db: Db, taskId: string) =>
  (await history(db, taskId)).map(({ action }) => action);
