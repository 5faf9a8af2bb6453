import { type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { cliSessions } from "../db/fleet-tables.ts";

/**
 * In SQL: the worker with the newest CLI session of the context; null where no worker has one. Sessions of other workers lack a turn of the
 * context, so that no task goes on in them.
 */
export const newestSessionsWorker = (contextId: SQLWrapper): SQL =>
  sql`(select newest.worker_id from ${cliSessions} as newest where newest.context_id = ${contextId}
      order by newest.updated_at desc, newest.worker_id limit 1)`;
