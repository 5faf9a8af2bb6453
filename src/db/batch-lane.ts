/** The requests of one statement that wait for one database, and the batches in which they are sent. */
import { Unavailable } from "../errors.ts";
import { limitConcurrency } from "../places.ts";
import { sizeOfBatch } from "./batch-size.ts";
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

interface Waiting<Row, Request> {
  request: Request;
  since: number;
  resolve(row: Pending<Row>): void;
  reject(error: unknown): void;
}

/** What becomes of a request: its row, or a promise of the row where the request is sent again alone. */
type Pending<Row> = Row | Promise<Row | undefined>;

/**
 * Takes the requests of one statement for one database, or inside one transaction. Gives a function that sends a request, with those that come at the
 * same time (`send` in batcher.ts).
 */
export function openLane<Row extends object, Request>(
  db: Db,
  statement: BatchStatement<Row, Request>,
  lengthOf: (request: Request) => number,
): (request: Request) => Promise<Row | undefined> {
  const waiting: Waiting<Row, Request>[] = [];
  /** When each batch under way was sent. */
  const underWay: number[] = [];
  /**
   * Limits the requests that are sent again alone and skip what is locked. Those that wait for locks are limited in lock-waits.ts, for all statements
   * together.
   */
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
    mayGo: () => underWay.length < MOST_BATCHES && underWay.every((since) => performance.now() - since > SLOW_AFTER_MS),
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

/** Sends a batch, and gives the row of each request; undefined for those to be sent alone. Throws what each of them would meet alone too. */
export async function rowsOf<Row extends object, Request>(
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
