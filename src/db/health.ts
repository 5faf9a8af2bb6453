import { setTimeout as delay } from "node:timers/promises";
import { sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { faultOf } from "./faults.ts";
import { runtimeSettings } from "./settings-tables.ts";

/** "ok", or the sentence for why the database cannot do its work now. */
export type DatabaseHealth = string;

/** Callers are answered within this time: a monitor gives up after a few seconds, and would not hear the reason. */
const ANSWER_WITHIN_MS = 2_000;
const looking = new WeakMap<Db["transaction"], Promise<DatabaseHealth>>();

/**
 * Checks that the database can write, and stores nothing: an update of no rows fails on a read-only server, and a query that needs a temporary file
 * fails on a full disk. The reason of a failure is logged. Callers that ask at the same moment share one check. A check that takes longer than 2 s
 * goes on, and is answered as a database that does not answer.
 */
export function checkDatabaseHealth(db: Db): Promise<DatabaseHealth> {
  const running = looking.get(db.transaction) ?? look(db).finally(() => looking.delete(db.transaction));
  looking.set(db.transaction, running);
  return Promise.race([running, delay(ANSWER_WITHIN_MS, "The database has not answered for 2 s.", { ref: false })]);
}

async function look(db: Db): Promise<DatabaseHealth> {
  try {
    const check = async (tx: Db) => {
      await tx.execute(sql`set local work_mem = '64kB'`);
      await tx.execute(sql`update ${runtimeSettings} set value = value where false`);
      await tx.execute(
        sql`with pages as materialized (select repeat('x', 8192) from generate_series(1, 32)) select count(*) from pages`,
      );
    };
    await db.transaction(check, { waitsFor: "nothing" });
    return "ok";
  } catch (error) {
    db.log.warn({ err: error }, "the database cannot do its work");
    return faultOf(error)?.sentence ?? "The database refused a simple change; the service's log says why.";
  }
}
