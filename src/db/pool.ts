import pg from "pg";
import type { Logger } from "pino";
import type { Meters } from "../metrics/service-meters.ts";
import { cancelRunningStatement } from "./cancel-running-statement.ts";
import { databaseErrorOf, faultOf, Unconfirmed } from "./faults.ts";
import type { Servers } from "./servers.ts";
import { CONNECT_WITHIN_MS, requireWritable } from "./writable-connection.ts";

export interface PoolOptions {
  /** The most connections that the pool opens. */
  poolMax: number;
  /** For one statement, its wait for locks included, in milliseconds. */
  answerWithinMs?: number;
}

/** The service's connections, each of which is used by one caller at a time. */
export interface Pool {
  /** Runs `work` on a connection of its own. One on which a statement met a fault of the connection is closed afterwards. */
  use<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
  /** Runs one statement on that connection: `run` sends it. It is ended on the server when it takes too long (faults.ts). */
  ask<T>(client: pg.PoolClient, run: () => Promise<T>): Promise<T>;
  /** False when the connection is of no more use. */
  isUsable(client: pg.PoolClient): boolean;
  /** True from the beginning of `close` on. */
  isClosing(): boolean;
  /** Waits for the connections that are in use. */
  close(): Promise<void>;
}

const ANSWER_WITHIN_MS = 10_000;
/**
 * After this part of its time a statement is cancelled on the server; the rest is for the server to say so. Nobody waits for it any more after
 * the whole: the other end may have vanished. Not the server's statement_timeout: it is a setting of the session, which PgBouncer hands
 * to others, and `set local` would cost each statement that needs no transaction three round trips more.
 */
const CANCEL_AFTER = 0.8;

/**
 * Opens nothing yet: the first statement connects. A connection that breaks while it is idle is logged and replaced. When another server takes
 * the changes, every connection to the earlier one is cut, so that what waits for its answer fails at once.
 */
export function openPool(
  servers: Servers,
  { poolMax, answerWithinMs = ANSWER_WITHIN_MS }: PoolOptions,
  log: Logger,
  meters: Meters,
): Pool {
  const pool = new pg.Pool({
    Client: class extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super({ ...config, connectionString: servers.primary() });
      }
    },
    max: poolMax,
    connectionTimeoutMillis: Math.min(CONNECT_WITHIN_MS, answerWithinMs),
    query_timeout: answerWithinMs,
    keepAlive: true,
    // Before a NAT or a load balancer between us and the database forgets a connection that nobody uses.
    keepAliveInitialDelayMillis: 30_000,
    // Few, and each has its statements prepared. A timer for each return to the pool costs more than they do.
    idleTimeoutMillis: 0,
    application_name: "bloom-runtime",
    // Not `verify`: a caller whose patience ends during that leaves its connection in use for ever (pg-pool 3.14).
    onConnect: requireWritable,
  });
  meters.registry.watch("pool", () => [
    {
      name: "bloom_db_pool_connections",
      help: "Connections to the database by what they do now.",
      values: [
        { value: pool.totalCount - pool.idleCount, labels: { state: "in use" } },
        { value: pool.idleCount, labels: { state: "idle" } },
      ],
    },
    {
      name: "bloom_db_pool_max_connections",
      help: "The most connections that the pool opens (DB_POOL_MAX).",
      values: [{ value: poolMax }],
    },
    {
      name: "bloom_db_pool_waiting",
      help: "Statements and transactions that wait for a connection now.",
      values: [{ value: pool.waitingCount }],
    },
  ]);
  let isClosing = false;
  /** Goes up when the server has become read-only, or is another one: connections of an earlier generation are of no more use. */
  let generation = 0;
  /** The first generation of connections to the present server. */
  let arrivedIn = 0;
  const inUse = new Set<pg.PoolClient>();
  /** Aborted when the server is left: what runs there needs no cancelling any more. */
  let left = new AbortController();
  const generationOf = new WeakMap<pg.PoolClient, number>();
  const unusable = new WeakSet<pg.PoolClient>();
  /** Resolved when the server has been told to end what it does for the connection. */
  const cancelling = new WeakMap<pg.PoolClient, Promise<void>>();

  pool.on("error", (error) => log.warn({ err: error }, "idle database connection lost"));
  pool.on("connect", (client) => {
    generationOf.set(client, generation);
    // The pool listens to idle connections only. One that breaks between two statements of a transaction, or while it is being closed,
    // would end the process; the next statement on it fails, which is what counts.
    client.on("error", (error) => log.debug({ err: error }, "database connection lost"));
  });

  servers.onMove(({ address, timeline }) => {
    log.warn({ server: new URL(address).host, timeline }, "another server takes the changes now");
    arrivedIn = ++generation;
    left.abort();
    left = new AbortController();
    for (const client of inUse) client.connection.stream.destroy();
  });

  function cancelOn(client: pg.PoolClient): void {
    unusable.add(client);
    if (cancelling.has(client) || (generationOf.get(client) ?? 0) < arrivedIn) return;
    cancelling.set(client, cancelRunningStatement(client, left.signal));
  }

  function note(client: pg.PoolClient, error: unknown): void {
    const drops = faultOf(error)?.drops ?? "none";
    if (drops === "all") generation += 1;
    if (drops !== "none") unusable.add(client);
    // The server may still be at it, unless it was the server that ended the connection.
    if (drops === "one" && !databaseErrorOf(error)) cancelOn(client);
  }

  async function connect(): Promise<pg.PoolClient> {
    const tried = servers.primary();
    try {
      return await pool.connect();
    } catch (error) {
      if (!faultOf(error) || (await servers.findPrimary()) === tried) throw error;
      return await pool.connect();
    }
  }

  async function checkOut(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await connect();
      if (generationOf.get(client) === generation) return client;
      client.release(true);
    }
  }

  /** A connection keeps its place in the pool until its statement has been cancelled: the server never works for more than the pool has. */
  async function checkIn(client: pg.PoolClient): Promise<void> {
    await cancelling.get(client);
    client.release(unusable.has(client));
  }

  return {
    async use(work) {
      const asked = performance.now();
      const client = await checkOut();
      meters.poolWait.observe((performance.now() - asked) / 1_000);
      inUse.add(client);
      try {
        return await work(client);
      } finally {
        inUse.delete(client);
        if (unusable.has(client)) void checkIn(client);
        else client.release();
      }
    },
    async ask(client, run) {
      const late = setTimeout(cancelOn, answerWithinMs * CANCEL_AFTER, client);
      try {
        const answer = await run();
        if (cancelling.has(client)) throw new Unconfirmed("The statement was done after it had been given up.");
        return answer;
      } catch (error) {
        note(client, error);
        throw error;
      } finally {
        clearTimeout(late);
      }
    },
    isUsable: (client) => !unusable.has(client),
    isClosing: () => isClosing,
    close() {
      isClosing = true;
      left.abort();
      return pool.end();
    },
  };
}
