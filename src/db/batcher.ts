import { Unavailable } from "../errors.ts";
import type { Db } from "./client.ts";
import { databaseErrorOf, faultOf } from "./faults.ts";
import type { SetStatement } from "./statement-for-many.ts";

/** The most requests of a set, and about how many characters they may have together. A longer request travels by itself. */
const LARGEST_SET = 64;
const LONGEST_SET = 256_000;
/**
 * A second set of a kind goes only beside one that has been under way for so long, as on a connection that does not answer. Two at any time made
 * smaller sets: with 16 clients, lifecycles took 1.3 times as long.
 */
const SLOW_AFTER_MS = 100;
const MOST_SETS = 2;
/** The most requests of a kind that are sent again at a time: each may wait for a lock, and those of 60 locked tasks took all connections. */
const MOST_ALONE = 4;
/** A request that could not be sent in this time is refused: the database does not answer, or much too slowly. */
const SENT_WITHIN_MS = 10_000;

/** Sends requests of one kind to the database, several in a statement. */
export interface Batcher<Row, Request> {
  /**
   * Sends the request, with others of its kind that come at the same time. Gives its row; undefined where its transition was not allowed. What
   * becomes of the others makes no difference to it: where the database refused its set, or something was locked, it is sent again alone. Where the
   * connection broke, all of the set are refused. Unavailable: it could not be sent in time.
   */
  send(db: Db, request: Request): Promise<Row | undefined>;
  /** Sends all requests of one call, in sets of their own, one set after the other. Gives what `send` would for each, in their order. */
  sendAll(db: Db, requests: readonly Request[]): Promise<PromiseSettledResult<Row | undefined>[]>;
}

interface Waiting<Row, Request> {
  request: Request;
  since: number;
  resolve(verdict: Verdict<Row>): void;
  reject(error: unknown): void;
}

/** A request's row: now, or when it has been sent again alone. */
type Verdict<Row> = Row | Promise<Row | undefined>;

/** The requests for one database, or inside one transaction. */
interface Lane<Row, Request> {
  /** Since when each set is under way. */
  underWay: number[];
  waiting: Waiting<Row, Request>[];
  /** Runs while requests wait. */
  timer: NodeJS.Timeout | undefined;
  /** Requests that are sent again, by whether they may wait for a lock. */
  again: Turns;
  waitingForLocks: Turns;
}

/**
 * A batcher for a statement. A request is sent at once while no set is under way; those that come meanwhile form the next set, so that nobody waits
 * for others to come. `lengthOf` says about how many characters a request has. One that is longer than a set may be goes at once, and holds nobody up.
 */
export function batcher<Row extends object, Request>(
  statement: SetStatement<Row, Request>,
  lengthOf: (request: Request) => number,
): Batcher<Row, Request> {
  const lanes = new WeakMap<Db, Lane<Row, Request>>();

  function laneOf(db: Db): Lane<Row, Request> {
    const known = lanes.get(db);
    if (known) return known;
    const lane = { underWay: [], waiting: [], timer: undefined, again: openTurns(), waitingForLocks: openTurns() };
    lanes.set(db, lane);
    return lane;
  }

  function sendNext(db: Db, lane: Lane<Row, Request>): void {
    const lateSince = performance.now() - SENT_WITHIN_MS;
    while (lane.waiting[0] && lane.waiting[0].since <= lateSince) lane.waiting.shift()?.reject(overdue());
    while (lane.waiting.length > 0 && mayGo(lane.underWay)) {
      const size = sizeOfSet(lane.waiting, ({ request }) => lengthOf(request));
      void sendSet(db, lane, lane.waiting.splice(0, size));
    }
    // A set may become slow, or a request overdue.
    if (lane.waiting.length > 0)
      lane.timer ??= setTimeout(() => {
        lane.timer = undefined;
        sendNext(db, lane);
      }, SLOW_AFTER_MS).unref();
  }

  /** Sends a request again, when it is its turn. */
  async function sendAlone(db: Db, lane: Lane<Row, Request>, request: Request): Promise<Row | undefined> {
    const row = statement.unlessLocked && (await lane.again(() => statement.unlessLocked?.(db, request)));
    return row ?? (await lane.waitingForLocks(() => statement.alone(db, request)));
  }

  async function sendSet(db: Db, lane: Lane<Row, Request>, set: Waiting<Row, Request>[]): Promise<void> {
    const since = performance.now();
    lane.underWay.push(since);
    try {
      const requests = set.map(({ request }) => request);
      const rows = await rowsOf(db, statement, requests);
      for (const [n, { request, resolve }] of set.entries()) resolve(rows[n] ?? sendAlone(db, lane, request));
    } catch (error) {
      for (const { reject } of set) reject(error);
    }
    lane.underWay.splice(lane.underWay.indexOf(since), 1);
    sendNext(db, lane);
  }

  return {
    send(db, request) {
      if (lengthOf(request) > LONGEST_SET) return statement.alone(db, request);
      const lane = laneOf(db);
      return new Promise((resolve, reject) => {
        lane.waiting.push({ request, since: performance.now(), resolve, reject });
        sendNext(db, lane);
      });
    },
    async sendAll(db, requests) {
      const settled: PromiseSettledResult<Row | undefined>[] = [];
      while (settled.length < requests.length) {
        const left = requests.slice(settled.length);
        const set = left.slice(0, sizeOfSet(left, lengthOf));
        const rows = await rowsOf(db, statement, set);
        // Each is sent alone after the one before it, so that the first of two with the same key makes the task.
        for (const [n, request] of set.entries()) {
          const value = rows[n];
          if (value !== undefined) settled.push({ status: "fulfilled", value });
          else settled.push(...(await Promise.allSettled([statement.alone(db, request)])));
        }
      }
      return settled;
    },
  };
}

type Turns = <Done>(work: () => Promise<Done> | Done) => Promise<Done>;

/** Runs `MOST_ALONE` at a time. Rejects with Unavailable when its turn does not come in time. */
function openTurns(): Turns {
  let running = 0;
  const waiting: (() => void)[] = [];
  const turn = () =>
    new Promise<void>((resolve, reject) => {
      const take = () => {
        clearTimeout(late);
        resolve();
      };
      const late = setTimeout(() => {
        waiting.splice(waiting.indexOf(take), 1);
        reject(overdue());
      }, SENT_WITHIN_MS);
      waiting.push(take);
    });
  return async (work) => {
    if (running < MOST_ALONE) running += 1;
    else await turn();
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}

/** True while a set may go beside those that are under way since these times. */
const mayGo = (underWay: readonly number[]) =>
  underWay.length < MOST_SETS && underWay.every((since) => performance.now() - since > SLOW_AFTER_MS);

/** How many of the first of `items` make a set; one at least. */
function sizeOfSet<Item>(items: readonly Item[], lengthOf: (item: Item) => number): number {
  let length = 0;
  let size = 0;
  for (const item of items) {
    length += lengthOf(item);
    if (size > 0 && (length > LONGEST_SET || size === LARGEST_SET)) break;
    size += 1;
  }
  return size;
}

/** Sends a set, and gives the row of each request; undefined for those to be sent alone. Throws what each of them would meet as well. */
async function rowsOf<Row extends object, Request>(
  db: Db,
  statement: SetStatement<Row, Request>,
  set: readonly Request[],
): Promise<(Row | undefined)[]> {
  return await statement.together(db, set).catch((error: unknown) => {
    if (set.length > 1 && isRefused(error)) return [];
    throw error;
  });
}

/**
 * True when the database answered, took the statement back, and goes on working: another request of the set may be the reason. A statement that the
 * database does not understand is a fault of ours, which sending each request alone would hide.
 */
const isRefused = (error: unknown) => {
  const answer = databaseErrorOf(error);
  return answer !== undefined && !answer.code?.startsWith("42") && (faultOf(error)?.drops ?? "none") === "none";
};

const overdue = () => new Unavailable("The database does not keep up now. Nothing was changed; try again shortly.");
