import { sql } from "drizzle-orm";
import type { Logger } from "pino";
import type { Db } from "./client.ts";

/** Asks the database anything at all; false, and a line in the log, when it does not answer. */
export async function ping(db: Db, log: Logger): Promise<boolean> {
  try {
    await db.execute(sql`select 1`);
    return true;
  } catch (error) {
    log.warn({ err: error, requestId: db.caller?.requestId }, "the database does not answer");
    return false;
  }
}
