import { Unavailable } from "../errors.ts";
import { limitConcurrency } from "../places.ts";
import { LONGEST_BATCH, sizeOfBatch } from "./batch-size.ts";
import type { BatchStatement } from "./batch-statement.ts";
import { turnsOf, type WaitingRequests } from "./batch-turns.ts";
import type { Db } from "./client.ts";
import { databaseErrorOf, faultOf } from "./faults.ts";

/**
 * A second batch of the same statement is sent only when the first has been under way for this time, as on a connection that does not answer. Where
 * two were sent at any time, batches were smaller, and with 16 clients a lifecycle took 1.3 times as long.
 */
const SLOW_AFTER_MS = 100;
const MOST_BATCHES = 2;
/** How many requests are sent again alone at once, as long as they pass over what is locked. */
const MOST_ALONE = 4;
/** A request that could not be sent in this time is refused: the database does not answer, or much too slowly. */
const SENT_WITHIN_MS = 10_000;

/** Sends requests of one statement to the database, in batches. */
export interface Batcher<Row, Request> {
  /**
   * Sends the request, with others that come at the same time. Gives its row; undefined where its transition was not allowed. What
   * becomes of the others makes no difference to it: where the database refused its batch, or something was locked, it is sent again alone. Where the
   * connection broke, all of the batch are refused. Unavailable: it could not be sent in time.
   */
  send(db: Db, request: Request): Promise<Row | undefined>;
  /**
   * Sends all requests of one call, in batches of their own, one batch after the other. Gives what `send` would for each, in their order. After
   * a fault of the database nothing more is sent, and the rest is rejected with that fault.
   */
  sendAll(db: Db, requests: readonly Request[]): Promise<PromiseSettledResult<Row | undefined>[]>;
}

interface Waiting<Row, Request> {
  request: Request;
  since: number;
  resolve(verdict: Verdict<Row>): void;
  reject(error: unknown): void;
}

/** What becomes of a request: its row, or a promise of the row where the request is sent again alone. */
type Verdict<Row> = Row | Promise<Row | undefined>;

/**
 * A batcher for a statement. While no batch is under way, a request is sent at once, with those of the same turn of the event loop; those that come
 * meanwhile form the next batch. The batches of all statements take turns (batch-turns.ts). `lengthOf` says about how many characters a request
 * has. A request that is longer than a batch may be goes by itself, and holds nobody up.
 */
export function batcher<Row extends object, Request>(
  statement: BatchStatement<Row, Request>,
  lengthOf: (request: Request) => number,
): Batcher<Row, Request> {
  const lanes = new WeakMap<Db, (request: Request) => Promise<Row | undefined>>();
  function laneOf(db: Db) {
    const known = lanes.get(db);
    if (known) return known;
    const lane = openLane(db);
    lanes.set(db, lane);
    return lane;
  }

  /** Takes the requests for one database, or inside one transaction. */
  function openLane(db: Db): (request: Request) => Promise<Row | undefined> {
    const waiting: Waiting<Row, Request>[] = [];
    /** When each batch under way was sent. */
    const underWay: number[] = [];
    /** Sends requests again, each alone, that pass over what is locked. Those that wait for it are bounded for all statements (lock-waits.ts). */
    const again = limitConcurrency(MOST_ALONE, SENT_WITHIN_MS, overdue);
    const turns = turnsOf(db);
    let isScheduled = false;

    /** Sends a request again, alone. A request that was sent as a batch of one has already passed over locked rows, and now waits for them. */
    async function sendAlone(request: Request, wasAlone: boolean): Promise<Row | undefined> {
      const unlessLocked = wasAlone ? undefined : statement.unlessLocked;
      const row = unlessLocked && (await again(() => unlessLocked(db, request)));
      return row ?? (await statement.alone(db, request));
    }

    const requests: WaitingRequests = {
      refuseLate() {
        const lateSince = performance.now() - SENT_WITHIN_MS;
        while (waiting[0] && waiting[0].since <= lateSince) waiting.shift()?.reject(overdue());
      },
      count: () => waiting.length,
      since: () => waiting[0]?.since,
      mayGo: () =>
        underWay.length < MOST_BATCHES && underWay.every((since) => performance.now() - since > SLOW_AFTER_MS),
      async send() {
        const batch = waiting.splice(
          0,
          sizeOfBatch(waiting, ({ request }) => lengthOf(request)),
        );
        const since = performance.now();
        underWay.push(since);
        try {
          const rows = await rowsOf(
            db,
            statement,
            batch.map(({ request }) => request),
          );
          for (const [n, { request, resolve }] of batch.entries())
            resolve(rows[n] ?? sendAlone(request, batch.length === 1));
        } catch (error) {
          for (const { reject } of batch) reject(error);
        }
        underWay.splice(underWay.indexOf(since), 1);
      },
    };

    /**
     * Waits for the end of this turn of the event loop, so that calls that arrived together join one batch. With 16 clients, PostgreSQL's time for a
     * lifecycle fell to 0.8 of what it was. One client alone is as fast as before.
     */
    function enqueueSoon(): void {
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        turns.enqueue(requests);
      });
    }

    return (request) =>
      new Promise((resolve, reject) => {
        waiting.push({ request, since: performance.now(), resolve, reject });
        enqueueSoon();
      });
  }

  return {
    send: (db, request) => (lengthOf(request) > LONGEST_BATCH ? statement.alone(db, request) : laneOf(db)(request)),
    async sendAll(db, requests) {
      const settled: PromiseSettledResult<Row | undefined>[] = [];
      try {
        while (settled.length < requests.length) {
          const left = requests.slice(settled.length);
          const batch = left.slice(0, sizeOfBatch(left, lengthOf));
          const rows = await rowsOf(db, statement, batch);
          // Each is sent alone after the one before it: of two with the same key, the first makes the task.
          for (const [n, request] of batch.entries())
            settled.push(await settledUnlessFault(rows[n] ?? statement.alone(db, request)));
        }
      } catch (reason) {
        if (!faultOf(reason)) throw reason;
        while (settled.length < requests.length) settled.push({ status: "rejected", reason });
      }
      return settled;
    },
  };
}

/** What becomes of the promise. Throws a fault of the database, which the next request would meet too. */
async function settledUnlessFault<Row>(row: Row | Promise<Row>): Promise<PromiseSettledResult<Row>> {
  try {
    return { status: "fulfilled", value: await row };
  } catch (reason) {
    if (faultOf(reason)) throw reason;
    return { status: "rejected", reason };
  }
}

/** Sends a batch, and gives the row of each request; undefined for those to be sent alone. Throws what each of them would meet alone too. */
async function rowsOf<Row extends object, Request>(
  db: Db,
  statement: BatchStatement<Row, Request>,
  batch: readonly Request[],
): Promise<(Row | undefined)[]> {
  return await statement.together(db, batch).catch((error: unknown) => {
    if (batch.length > 1 && isRefused(error)) return [];
    throw error;
  });
}

/**
 * True when the database answered, took the statement back, and goes on working: another request of the batch may be the reason. A statement that the
 * database does not understand is a fault of ours, which sending each request alone would hide.
 */
const isRefused = (error: unknown) => {
  const answer = databaseErrorOf(error);
  return answer !== undefined && !answer.code?.startsWith("42") && (faultOf(error)?.drops ?? "none") === "none";
};

const overdue = () => new Unavailable("The database does not keep up now. Nothing was changed; try again shortly.");
