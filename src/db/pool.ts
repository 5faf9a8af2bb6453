import pg from "pg";
import type { Logger } from "pino";
import { messageOf } from "../errors.ts";
import type { Meters } from "../metrics/service-meters.ts";
import { CONNECT_WITHIN_MS, requireWritable } from "./connect-writable.ts";
import { faultOf } from "./faults.ts";
import { OutOfTime, Unconfirmed } from "./faults-found-here.ts";
import { LOCKED_TABLES } from "./last-connection-for-reads.ts";
import { openLockPlaces, type WaitsFor } from "./lock-waits.ts";
import { reportConnections } from "./report-connections.ts";
import { createReusableConnections } from "./reusable-connections.ts";
import type { Servers } from "./servers.ts";

export interface PoolOptions {
  /** The most connections that the pool opens. */
  poolMax: number;
  /** For one statement, its wait for locks included, in milliseconds. */
  answerWithinMs?: number;
}

/** The service's connections, each of which is used by one caller at a time. */
export interface Pool {
  /**
   * Runs `work` on a connection of its own, which is closed afterwards where a statement on it was given up or met a fault of the connection.
   * Work that may wait for locks leaves some connections to others; the time that it waits for a place is taken from its statements. NoPlaceToWait:
   * too many of its kind were before it. OutOfTime: it is after `endAt`, the process's time at which the call as a whole is to be answered.
   */
  use<T>(work: (client: pg.PoolClient) => Promise<T>, waitsFor: WaitsFor, endAt?: number): Promise<T>;
  /** Runs one statement on that connection; `run` sends it. A statement that takes too long is cancelled on the server. */
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
 * After this part of its time a statement is cancelled on the server, which has the rest of the time to confirm that. After the whole time nobody
 * waits for it any more, since the server may have vanished. The server's statement_timeout is not used: it is a setting of the session, which
 * PgBouncer hands to others, and `set local` would cost each statement that needs no transaction three round trips more.
 */
const CANCEL_AFTER = 0.8;
/** A statement gets this part at least, however late it is: so a transaction can still be rolled back. */
const AT_LEAST = 0.1;

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
  const pool = newPool(servers, poolMax, answerWithinMs);
  const cancelAfterMs = answerWithinMs * CANCEL_AFTER;
  const findLocked = () => use((client) => ask(client, () => client.query(LOCKED_TABLES)), "nothing");
  const lockPlaces = openLockPlaces(poolMax, findLocked);
  reportConnections(pool, { poolMax, lockPlaces }, meters);
  let isClosing = false;
  /** The connections that are in use, and for how long the next statement on each may run. */
  const inUse = new Map<pg.PoolClient, () => number>();
  const connections = createReusableConnections();

  pool.on("error", (error) => log.warn({ reason: messageOf(error) }, "idle database connection lost"));
  pool.on("connect", (client) => {
    connections.add(client);
    // The pool listens to idle connections only. One that breaks between two statements of a transaction, or while it is being closed,
    // would end the process; the next statement on it fails, which is what counts.
    client.on("error", (error) => log.debug({ err: error }, "database connection lost"));
  });

  servers.onMove(({ address, timeline }) => {
    log.warn({ server: new URL(address).host, timeline }, "another server takes the changes now");
    connections.leaveServer();
    for (const client of inUse.keys()) client.connection.stream.destroy();
  });

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
      if (connections.isCurrent(client)) return client;
      client.release(true);
    }
  }

  /**
   * A connection keeps its place in the pool until its statement has been cancelled, so that the server never works on more statements than the pool
   * has connections.
   */
  async function discard(client: pg.PoolClient): Promise<void> {
    await connections.whenCancelled(client);
    client.release(true);
  }

  const use: Pool["use"] = async (work, waitsFor, endAt = Infinity) => {
    const asked = performance.now();
    if (asked >= endAt) throw new OutOfTime();
    const leave = await lockPlaces.take(waitsFor, endAt - asked);
    const eachMs = cancelAfterMs - Math.trunc(performance.now() - asked);
    const client = await checkOut().catch((error: unknown) => {
      leave();
      throw error;
    });
    meters.poolWait.observe((performance.now() - asked) / 1_000);
    inUse.set(client, () => Math.max(answerWithinMs * AT_LEAST, Math.min(eachMs, endAt - performance.now())));
    try {
      return await work(client);
    } finally {
      inUse.delete(client);
      if (connections.isUsable(client)) {
        client.release();
        leave();
      } else void discard(client).finally(leave);
    }
  };

  const ask: Pool["ask"] = async (client, run) => {
    const late = setTimeout(connections.giveUp, inUse.get(client)?.() ?? cancelAfterMs, client);
    try {
      const answer = await run();
      if (connections.isGivenUp(client)) throw new Unconfirmed("The statement was done after it had been given up.");
      return answer;
    } catch (error) {
      connections.note(client, error);
      throw error;
    } finally {
      clearTimeout(late);
    }
  };

  return {
    use,
    ask,
    isUsable: connections.isUsable,
    isClosing: () => isClosing,
    close() {
      isClosing = true;
      connections.close();
      return pool.end();
    },
  };
}

function newPool(servers: Servers, poolMax: number, answerWithinMs: number): pg.Pool {
  return new pg.Pool({
    Client: class extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super({ ...config, connectionString: servers.primary() });
      }
    },
    max: poolMax,
    connectionTimeoutMillis: Math.min(CONNECT_WITHIN_MS, answerWithinMs),
    query_timeout: answerWithinMs,
    keepAlive: true,
    // Sooner than a NAT or a load balancer between us and the database forgets a connection that nobody uses.
    keepAliveInitialDelayMillis: 30_000,
    // Idle connections are kept: they are few, and each has its statements prepared. A timer for each return to the pool costs more than they
    // do.
    idleTimeoutMillis: 0,
    application_name: "bloom-runtime",
    // Not `verify`: a caller whose time is over while that runs leaves its connection in use for ever (pg-pool 3.14).
    onConnect: requireWritable,
  });
}
