import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Logger } from "pino";
import * as schema from "./schema.ts";

/** What every query function takes first: the database, or a transaction on it. */
export type Db = Pick<
  NodePgDatabase<typeof schema>,
  "select" | "insert" | "update" | "delete" | "execute" | "transaction"
>;

export interface DatabaseOptions {
  url: string;
  /** The most connections that the pool opens. */
  poolMax: number;
}

/** A pool of connections and Drizzle over it. `close()` waits for the connections that are in use. */
export interface Database {
  db: Db;
  close(): Promise<void>;
}

/** Opens nothing yet: the first query connects. A connection that breaks while it is idle is logged and replaced by the pool. */
export function openDatabase({ url, poolMax }: DatabaseOptions, log: Logger): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolMax,
    connectionTimeoutMillis: 5_000,
    application_name: "bloom-runtime",
  });
  pool.on("error", (error) => log.warn({ err: error }, "idle database connection lost"));
  // The pool listens to idle connections only. One that breaks between two statements of a transaction, or after the pool's goodbye, would
  // end the process; the next statement on it fails, which is what counts.
  pool.on("connect", (client) => client.on("error", (error) => log.debug({ err: error }, "database connection lost")));
  return { db: drizzle(pool, { schema }), close: () => pool.end() };
}
