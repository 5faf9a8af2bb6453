import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Logger } from "pino";
import type { Caller } from "../caller.ts";
import { isNotPrepared, isRepeatable } from "./faults.ts";
import { openPool, type Pool, type PoolOptions } from "./pool.ts";
import { repeatedly } from "./repeat.ts";

/** A value that a statement takes for a placeholder. */
export type Value = string | number | boolean | null | readonly string[];

/** SQL with a name, under which a connection parses and plans it once. */
export interface Prepared {
  name: string;
  text: string;
}

/** What every query function takes first: the database, or a transaction on it. */
export type Db = Pick<NodePgDatabase, "select" | "insert" | "update" | "delete" | "execute"> & {
  /** Where it is said what no caller waits for. */
  readonly log: Logger;
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

/** A pool of connections and Drizzle over it. `close()` waits for the connections that are in use. */
export interface Database {
  db: Db;
  close(): Promise<void>;
}

/** Opens nothing yet: the first query connects. */
export function openDatabase(options: PoolOptions, log: Logger): Database {
  const pool = openPool(options, log);
  const names = { areKept: true };
  const tell = tellerOf(pool, log);
  const each: Each = (send) =>
    repeatedly(() => pool.use((client) => pool.ask(client, () => send(client))), isRolledBack);
  const db = Object.assign(drizzleOver(each), {
    log,
    caller: undefined,
    for: forCaller,
    transaction: transactionsOf(pool, names, tell, log),
    run: runnerOf(each, names, "each statement by itself"),
    tell,
  });
  return { db, close: () => pool.close() };
}

function forCaller(this: Db, caller: Caller): Db {
  const db: Db = Object.create(this);
  return Object.assign(db, { caller });
}

/** Sends one statement: on the connection of a transaction, or on any. */
type Each = <T>(send: (client: pg.ClientBase) => Promise<T>) => Promise<T>;

/** Under another default isolation than READ COMMITTED a single statement is rolled back for the sake of others too. */
const isRolledBack = (error: unknown) => isRepeatable(error) && !isNotPrepared(error);

/** Drizzle asks its client for nothing but `query`. */
function drizzleOver(each: Each): NodePgDatabase {
  const query = (config: pg.QueryConfig, values: unknown[]) => each((client) => client.query(config, values));
  const client: pg.Client = Object.assign(Object.create(pg.Client.prototype), { query });
  return drizzle(client);
}

/** Our transactions and not Drizzle's: those give a connection back to the pool also when it no longer answers. */
function transactionsOf(pool: Pool, names: Names, tell: Db["tell"], log: Logger): Db["transaction"] {
  return async function (this: Db, work) {
    const { caller } = this;
    const told = new Set<string>();
    const result = await pool.use(async (client) => {
      const each: Each = (send) => pool.ask(client, () => send(client));
      try {
        // Named, since the default of the database or of its role may be another one.
        await each(() => client.query("begin isolation level read committed"));
        const tx: Db = Object.assign(drizzleOver(each), {
          log,
          caller,
          for: forCaller,
          transaction: <T>(inner: (tx: Db) => Promise<T>) => inner(tx),
          run: runnerOf(each, names, "within a transaction"),
          tell: (channel: string) => void told.add(channel),
        });
        const result = await work(tx);
        await each(() => client.query("commit"));
        return result;
      } catch (error) {
        if (isRepeatable(error))
          log.warn(
            { err: error, requestId: caller?.requestId },
            "the database rolled a transaction back for the sake of others",
          );
        // One that fails leaves the connection unusable, and the error that counts is the first.
        if (pool.isUsable(client)) await each(() => client.query("rollback")).catch(() => {});
        throw error;
      }
    });
    told.forEach(tell);
    return result;
  };
}

const TOLD_WITHIN_MS = 25;

/** PostgreSQL commits one notifying transaction at a time; a trigger that notified in each of them took a fifth of all lifecycles a second. */
function tellerOf(pool: Pool, log: Logger): Db["tell"] {
  const waiting = new Set<string>();
  return (channel) => {
    if (waiting.has(channel)) return;
    waiting.add(channel);
    setTimeout(() => {
      waiting.delete(channel);
      if (pool.isClosing()) return;
      pool
        .use((client) => pool.ask(client, () => client.query("select pg_notify($1, '')", [channel])))
        .catch((error) => log.debug({ err: error }, "a notification was not sent"));
    }, TOLD_WITHIN_MS).unref();
  };
}

/** Whether a connection keeps the statements that were prepared on it: behind PgBouncer in transaction mode it may be another one each time. */
interface Names {
  areKept: boolean;
}

function runnerOf(each: Each, names: Names, where: "each statement by itself" | "within a transaction"): Db["run"] {
  return async function run<Row>(prepared: Prepared, values: Value[]): Promise<Row[]> {
    const { text } = prepared;
    const name = names.areKept ? prepared.name : undefined;
    try {
      const { rows } = await each((client) => client.query<Row & pg.QueryResultRow>({ name, text, values, types }));
      return rows;
    } catch (error) {
      if (name === undefined || !isNotPrepared(error)) throw error;
      names.areKept = false;
      // It has not begun. A transaction has to be repeated as a whole (inTransaction).
      if (where === "within a transaction") throw error;
      return await run(prepared, values);
    }
  };
}

/** Of our whole numbers none is beyond 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: "text" | "binary") =>
    type === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(type, format),
};
