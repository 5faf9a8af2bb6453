import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Logger } from "pino";
import type { Caller } from "../caller.ts";
import { isDatabaseUnavailable, isNotPrepared, isRepeatable } from "./faults.ts";
import { PreparedQuery, type Value } from "./prepared-query.ts";
import type { Prepared } from "./statement.ts";

/** What every query function takes first: the database, or a transaction on it. */
export type Db = Pick<NodePgDatabase, "select" | "insert" | "update" | "delete" | "execute"> & {
  /** For whom it is used; the service's own loops have none. */
  readonly caller: Caller | undefined;
  /** The same database, used for that caller. */
  for(caller: Caller): Db;
  /** Runs `work` in a READ COMMITTED transaction; within one, in the same. Use `inTransaction`, which also repeats what the database asks to have repeated. */
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T>;
  /** Notifies the channel soon, of all that was told within 25 ms at once; in a transaction, when that is committed. A hint: it may get lost. */
  tell(channel: string): void;
  /** Runs a prepared statement (statement.ts); whole numbers come as numbers, JSON as values. */
  run<Row>(prepared: Prepared, values: Value[]): Promise<Row[]>;
};

export interface DatabaseOptions {
  url: string;
  /** The most connections that the pool opens. */
  poolMax: number;
  /** For one statement, its wait for locks included, in milliseconds. */
  answerWithinMs?: number;
}

/** A pool of connections and Drizzle over it. `close()` waits for the connections that are in use. */
export interface Database {
  db: Db;
  close(): Promise<void>;
}

/** For a new connection, and for a free one of the pool. */
const CONNECT_WITHIN_MS = 5_000;
/**
 * Measured here and not by the server's statement_timeout: a connection whose other end
 * has vanished must end too, and PgBouncer takes no settings from its clients.
 */
const ANSWER_WITHIN_MS = 10_000;

/**
 * By their indexes: a statement that is planned while its table is small is not planned anew while that grows, for up to a minute. A scan that has to be all the same would look so dear that it would be compiled first.
 */
const PLAN_FOR_LARGE_TABLES = "set enable_seqscan = off; set jit = off";

/** Opens nothing yet: the first query connects. A connection that breaks while it is idle is logged and replaced by the pool. */
export function openDatabase(options: DatabaseOptions, log: Logger): Database {
  const { url, poolMax, answerWithinMs = ANSWER_WITHIN_MS } = options;
  const pool = new pg.Pool({
    connectionString: url,
    max: poolMax,
    connectionTimeoutMillis: Math.min(CONNECT_WITHIN_MS, answerWithinMs),
    query_timeout: answerWithinMs,
    keepAlive: true,
    // Before a NAT or a load balancer between us and the database forgets a connection that nobody uses.
    keepAliveInitialDelayMillis: 30_000,
    // Few, and each has its statements prepared. A timer for each return to the pool costs more than they do.
    idleTimeoutMillis: 0,
    application_name: "bloom-runtime",
    // Before its first use.
    verify: (client, done) => client.query(PLAN_FOR_LARGE_TABLES, (error) => done(error)),
  });
  pool.on("error", (error) => log.warn({ err: error }, "idle database connection lost"));
  // The pool listens to idle connections only. One that breaks between two statements of a transaction, or after the pool's goodbye, would
  // end the process; the next statement on it fails, which is what counts.
  pool.on("connect", (client) => {
    client.on("error", (error) => log.debug({ err: error }, "database connection lost"));
  });
  const names = { areKept: true };
  const tell = tellerOf(pool, log);
  const db = Object.assign(drizzle(pool), {
    caller: undefined,
    for: forCaller,
    transaction: transactionsOf(pool, names, tell, log),
    run: runnerOf(pool, names),
    tell,
  });
  return { db, close: () => pool.end() };
}

function forCaller(this: Db, caller: Caller): Db {
  const db: Db = Object.create(this);
  return Object.assign(db, { caller });
}

/**
 * Drizzle's own transactions give a connection back to the pool also when it no longer answers, and the next caller waits behind the
 * statement that hangs. Here only the database's own refusal, or one of ours, leaves the connection in use.
 */
function transactionsOf(pool: pg.Pool, names: Names, tell: Db["tell"], log: Logger): Db["transaction"] {
  return async function (this: Db, work) {
    const { caller } = this;
    const client = await pool.connect();
    let broken = false;
    const told = new Set<string>();
    try {
      await client.query("begin");
      const tx: Db = Object.assign(drizzle(client), {
        caller,
        for: forCaller,
        transaction: <T>(inner: (tx: Db) => Promise<T>) => inner(tx),
        run: runnerOf(client, names),
        tell: (channel: string) => void told.add(channel),
      });
      const result = await work(tx);
      await client.query("commit");
      told.forEach(tell);
      return result;
    } catch (error) {
      if (isRepeatable(error))
        log.warn(
          { err: error, requestId: caller?.requestId },
          "the database rolled a transaction back for the sake of others",
        );
      broken = isDatabaseUnavailable(error) || !(await rolledBack(client));
      throw error;
    } finally {
      client.release(broken);
    }
  };
}

const TOLD_WITHIN_MS = 25;

/** PostgreSQL commits one notifying transaction at a time; a trigger that notified in each of them took a fifth of all lifecycles a second. */
function tellerOf(pool: pg.Pool, log: Logger): Db["tell"] {
  const waiting = new Set<string>();
  return (channel) => {
    if (waiting.has(channel)) return;
    waiting.add(channel);
    setTimeout(() => {
      waiting.delete(channel);
      if (pool.ending) return;
      pool
        .query("select pg_notify($1, '')", [channel])
        .catch((error) => log.debug({ err: error }, "a notification was not sent"));
    }, TOLD_WITHIN_MS).unref();
  };
}

/** Whether a connection keeps the statements that were prepared on it: behind PgBouncer in transaction mode it may be another one each time. */
interface Names {
  areKept: boolean;
}

function runnerOf(client: pg.Pool | pg.PoolClient, names: Names): Db["run"] {
  return async function run<Row>(prepared: Prepared, values: Value[]): Promise<Row[]> {
    const name = names.areKept ? prepared.name : undefined;
    const query = new PreparedQuery(prepared.text, values, name);
    try {
      return await new Promise<Row[]>((resolve, reject) => {
        void client.query(query, (error, result) => (error ? reject(error) : resolve(result.rows)));
      });
    } catch (error) {
      // Its own stack leads to the socket and not to the caller.
      if (error instanceof Error) Error.captureStackTrace(error);
      if (name === undefined || !isNotPrepared(error)) throw error;
      names.areKept = false;
      // It has not begun. Within a transaction, that one has to be repeated as a whole (inTransaction).
      if (!(client instanceof pg.Pool)) throw error;
      return await run(prepared, values);
    }
  };
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  return client.query("rollback").then(
    () => true,
    () => false,
  );
}
