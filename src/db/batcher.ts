import { openLane, rowsOf } from "./batch-lane.ts";
import { LONGEST_BATCH, sizeOfBatch } from "./batch-size.ts";
import type { BatchStatement } from "./batch-statement.ts";
import type { Db } from "./client.ts";
import { faultOf } from "./faults.ts";

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
    const lane = openLane(db, statement, lengthOf);
    lanes.set(db, lane);
    return lane;
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
