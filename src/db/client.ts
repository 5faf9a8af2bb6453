import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Logger } from "pino";
import { createMeters, type Meters } from "../metrics/service-meters.ts";
import type { Tracer } from "../tracing/tracer.ts";
import { isNotPrepared, isRepeatable } from "./faults.ts";
import { type WaitsFor, waitsForByText } from "./lock-waits.ts";
import { openPool, type Pool, type PoolOptions } from "./pool.ts";
import { repeatWhile } from "./retry.ts";
import { openServers, type Servers } from "./servers.ts";

/** A value that a statement takes for a placeholder. */
export type Value = string | number | boolean | null | readonly string[];

/** SQL with a name, under which a connection parses and plans it once. */
export interface Prepared {
  name: string;
  text: string;
  waitsFor: WaitsFor;
}

/** What every query function takes first: the database, or a transaction on it. */
export type Db = Pick<NodePgDatabase, "select" | "insert" | "update" | "delete" | "execute"> & {
  /** The log for faults that no caller waits for. */
  readonly log: Logger;
  /** What this instance counts (metrics/service-meters.ts). Changes of the database are counted by `onCommit`. */
  readonly meters: Meters;
  /** Takes the spans of this instance; undefined where nothing is traced. The span of a change of the database is recorded by `onCommit`. */
  readonly tracer: Tracer | undefined;
  /** Calls `effect` when what was changed is there for good: at once, or inside a transaction after its commit. */
  onCommit(effect: () => void): void;
  /**
   * Runs `work` in a READ COMMITTED transaction; inside a transaction, in that same one. Callers use `inTransaction`, which also repeats the
   * work after a deadlock or a serialization failure. Where it waits for less than rows, it says so.
   */
  transaction<T>(work: (tx: Db) => Promise<T>, options?: { waitsFor?: WaitsFor }): Promise<T>;
  /**
   * Notifies the channel within 25 ms, once for all calls in that time; inside a transaction, only after the commit. A notification is a hint
   * and may get lost.
   */
  tell(channel: string): void;
  /**
   * The same database for one call that must be answered by `endAt`, a time of this process, however many statements it needs. After that, no
   * statement and no transaction begins, and a running statement is cancelled on the server, but not within its first second. Inside a transaction:
   * that transaction itself.
   */
  endingAt(endAt: number): Db;
  /** Runs a prepared statement (statement.ts). Whole numbers come back as numbers, and JSON as parsed values. */
  run<Row>(prepared: Prepared, values: Value[]): Promise<Row[]>;
};

/** A pool of connections with Drizzle on top. `close()` waits for the connections that are in use. */
export interface Database {
  db: Db;
  servers: Servers;
  close(): Promise<void>;
}

/** Opens nothing yet: the first query connects. `url` is a DATABASE_URL, which may name several servers. Throws InvalidAddress. */
export function openDatabase(
  { url, tracer, ...options }: PoolOptions & { url: string; tracer?: Tracer | undefined },
  log: Logger,
): Database {
  const meters = createMeters();
  const servers = openServers(url);
  const pool = openPool(servers, options, log, meters);
  const names = { areKept: true };
  const tell = tellerOf(pool, log);
  const endingAt = (endAt: number): Db => {
    const each: Each = (send, waitsFor) =>
      repeatWhile(() => pool.use((client) => pool.ask(client, () => send(client)), waitsFor, endAt), isRolledBack);
    return Object.assign(drizzleOver(each), {
      log,
      meters,
      tracer,
      onCommit: (effect: () => void) => effect(),
      transaction: transactionsOf(pool, { names, meters, tracer, tell, log, endAt }),
      run: runnerOf(each, names, "each statement by itself"),
      tell,
      endingAt: (sooner: number) => endingAt(Math.min(sooner, endAt)),
    });
  };
  return { db: endingAt(Infinity), servers, close: () => pool.close() };
}

/** Sends one statement: on the connection of a transaction, or on any. */
type Each = <T>(send: (client: pg.ClientBase) => Promise<T>, waitsFor: WaitsFor) => Promise<T>;

/** When the database's default isolation is stricter than READ COMMITTED, a single statement too can fail with a serialization error. */
const isRolledBack = (error: unknown) => isRepeatable(error) && !isNotPrepared(error);

/** Drizzle uses nothing of its client but `query`, so an object with that method is enough. */
function drizzleOver(each: Each): NodePgDatabase {
  const query = (config: pg.QueryConfig, values: unknown[]) =>
    each((client) => client.query(config, values), waitsForByText(config.text));
  const client: pg.Client = Object.assign(Object.create(pg.Client.prototype), { query });
  return drizzle(client);
}

/** Own transactions, because Drizzle's return a connection to the pool even when the connection no longer answers. */
function transactionsOf(
  pool: Pool,
  {
    names,
    meters,
    tracer,
    tell,
    log,
    endAt,
  }: Pick<Db, "meters" | "tracer" | "tell" | "log"> & { names: Names; endAt: number },
): Db["transaction"] {
  return async (work, { waitsFor = "rows" } = {}) => {
    const effects: (() => void)[] = [];
    const inConnection = async (client: pg.PoolClient) => {
      const each: Each = (send) => pool.ask(client, () => send(client));
      const run = (command: string) => pool.ask(client, () => client.query(command));
      try {
        // The isolation is named because the default of the database or its role may differ.
        await run("begin isolation level read committed");
        const tx: Db = Object.assign(drizzleOver(each), {
          log,
          meters,
          tracer,
          onCommit: (effect: () => void) => void effects.push(effect),
          transaction: <T>(inner: (tx: Db) => Promise<T>) => inner(tx),
          run: runnerOf(each, names, "within a transaction"),
          tell: (channel: string) => void effects.push(() => tell(channel)),
          endingAt: () => tx,
        });
        const result = await work(tx);
        await run("commit");
        return result;
      } catch (error) {
        if (isRepeatable(error))
          log.warn({ err: error }, "the database rolled a transaction back for the sake of others");
        // A failed rollback makes the connection unusable. The caller gets the first error, so the second is ignored.
        if (pool.isUsable(client)) await run("rollback").catch(() => {});
        throw error;
      }
    };
    const result = await pool.use(inConnection, waitsFor, endAt);
    for (const effect of effects) effect();
    return result;
  };
}

const TOLD_WITHIN_MS = 25;

/** PostgreSQL commits notifying transactions one at a time. A trigger that notified in every transaction cost a fifth of the throughput. */
function tellerOf(pool: Pool, log: Logger): Db["tell"] {
  const waiting = new Set<string>();
  return (channel) => {
    if (waiting.has(channel)) return;
    waiting.add(channel);
    setTimeout(() => {
      waiting.delete(channel);
      if (pool.isClosing()) return;
      pool
        .use((client) => pool.ask(client, () => client.query("select pg_notify($1, '')", [channel])), "nothing")
        .catch((error) => log.debug({ err: error }, "a notification was not sent"));
    }, TOLD_WITHIN_MS).unref();
  };
}

/** Whether connections keep their prepared statements. Behind PgBouncer in transaction mode each transaction may use another connection. */
interface Names {
  areKept: boolean;
}

function runnerOf(each: Each, names: Names, where: "each statement by itself" | "within a transaction"): Db["run"] {
  return async function run<Row>(prepared: Prepared, values: Value[]): Promise<Row[]> {
    const { text } = prepared;
    const name = names.areKept ? prepared.name : undefined;
    try {
      const { rows } = await each(
        (client) => client.query<Row & pg.QueryResultRow>({ name, text, values, types }),
        prepared.waitsFor,
      );
      return rows;
    } catch (error) {
      if (name === undefined || !isNotPrepared(error)) throw error;
      names.areKept = false;
      // The statement has not run, so it can be sent again. A transaction must be repeated as a whole, which inTransaction does.
      if (where === "within a transaction") throw error;
      return await run(prepared, values);
    }
  };
}

/** bigint columns become numbers: none of our values exceeds 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: "text" | "binary") =>
    type === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(type, format),
};
