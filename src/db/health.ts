import { sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { faultOf } from "./faults.ts";
import { runtimeSettings } from "./schema.ts";

/** "ok", or the sentence for why the database cannot do its work now. */
export type DatabaseHealth = string;

const looking = new WeakMap<Db["transaction"], Promise<DatabaseHealth>>();

/**
 * Asks whether the database can write, and not only answer; why not is logged. It stores nothing: a change of no rows is refused where
 * nothing may be changed, and 256 KB that do not fit into 64 KB of memory go into a temporary file, for which the disk must have room.
 * Those who ask at the same time share one look.
 */
export function databaseHealth(db: Db): Promise<DatabaseHealth> {
  const running = looking.get(db.transaction) ?? look(db).finally(() => looking.delete(db.transaction));
  looking.set(db.transaction, running);
  return running;
}

async function look(db: Db): Promise<DatabaseHealth> {
  try {
    await db.transaction(async (tx) => {
      await tx.execute(sql`set local work_mem = '64kB'`);
      await tx.execute(sql`update ${runtimeSettings} set value = value where false`);
      await tx.execute(
        sql`with pages as materialized (select repeat('x', 8192) from generate_series(1, 32)) select count(*) from pages`,
      );
    });
    return "ok";
  } catch (error) {
    db.log.warn({ err: error, requestId: db.caller?.requestId }, "the database cannot do its work");
    return faultOf(error)?.sentence ?? "The database refused a simple change; the service's log says why.";
  }
}
