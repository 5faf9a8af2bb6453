/** Keeps connections from reads that would wait on them for a table that somebody has wholly locked: one for changes, and the last for other reads. */
import { setTimeout as delay } from "node:timers/promises";
import { NoPlaceToWait } from "./faults-found-here.ts";

/** The tables and indexes of this database, by their oids, that somebody holds or wants under the lock that excludes reading. */
export const LOCKED_RELATIONS = `
  select relation from pg_locks where locktype = 'relation' and mode = 'AccessExclusiveLock'
    and database = (select oid from pg_database where datname = current_database())`;

/**
 * The tables that cannot be read now, those with a locked index included: somebody holds the lock that excludes reading, or
 * waits for it, and later readers wait behind it.
 */
export const LOCKED_TABLES = `
  select distinct relname as name from (${LOCKED_RELATIONS}) as locked
  left join pg_index on indexrelid = relation join pg_class on pg_class.oid = coalesce(indrelid, relation)`;

/** Ordinary waits are over sooner, so that the server is not asked about them. */
const ASKED_EVERY_MS = 100;
/** By then a statement has come to the server, and has the lock that it needs, or waits for it. */
const SENT_WITHIN_MS = 50;
/** In a pool of two, one connection must be enough for changes, and the other one is there for all reads. */
const TOO_SMALL_TO_KEEP_ONE = 2;
/** In a pool of three, two reads at a time are worth more than a connection for changes. */
const TOO_SMALL_TO_KEEP_TWO = 3;

/** Asks the server with LOCKED_TABLES. */
export type FindLocked = () => Promise<{ rows: { name: string }[] }>;

/** The connections of the pool as places for what may wait for tables. */
export interface TablePlaces {
  /**
   * Takes a place, as soon as one is free for this; the function that it gives leaves it again, and is called once. `reads` is the text of a
   * statement that only reads, and undefined is a change. NoPlaceToWait: there was none within `withinMs` milliseconds.
   */
  take(reads: string | undefined, withinMs: number): Promise<() => void>;
  /** How many wait for a place now. */
  waiting(): number;
}

interface Waiter {
  reads: string | undefined;
  begin(): void;
}

/** What the server said: which tables were locked at that time of the process's clock. */
interface Report {
  at: number;
  /** True for the text of a statement that names one of those tables. */
  mentionsLocked(text: string): boolean;
}

/**
 * All but one of `poolMax` connections are for everybody, first come, first served, but reads leave one of them to changes: while 12 reads waited for
 * a locked table, two tasks were created in 20 s. The last one is for reads of tables that nobody has locked: 12 reads of a locked table took
 * all six connections for 8 s, and what reads other tables waited. `findLocked` is called only while somebody waits for long. Where it rejects,
 * nobody gets the last one.
 *
 * A table may be locked after the server was asked. So the last connection is given away only while a read in use is older than the server's answer:
 * that read waits for no table that was locked later, and so no single table can hold all connections. Once reads have the last one, a change may
 * still take the one that they leave to it.
 */
export function openTablePlaces(poolMax: number, findLocked: FindLocked): TablePlaces {
  const forAll = poolMax > TOO_SMALL_TO_KEEP_ONE ? poolMax - 1 : poolMax;
  const forReads = poolMax > TOO_SMALL_TO_KEEP_TWO ? forAll - 1 : forAll;
  let used = 0;
  /** The reads that have a place, the oldest first, each with its beginning. */
  const readers = new Set<{ since: number }>();
  /** In the order in which they came. */
  const waiters = new Set<Waiter>();
  let isWatching = false;
  let report: Report | undefined;

  function occupy(reads: string | undefined): () => void {
    const holder = { since: performance.now() };
    used += 1;
    if (reads !== undefined) readers.add(holder);
    return () => {
      used -= 1;
      readers.delete(holder);
      admit();
    };
  }

  function admit(): void {
    for (const waiter of waiters) {
      if (used >= poolMax) return;
      if (!isForAll(waiter.reads) && !mayTakeLast(waiter.reads)) continue;
      waiters.delete(waiter);
      waiter.begin();
    }
  }

  /** Whether it may begin whatever is locked. More than `forReads` reads are there only where one of them has the last connection. */
  function isForAll(reads: string | undefined): boolean {
    if (reads !== undefined) return readers.size < forReads && used < forAll;
    return used < forAll || (used < poolMax && readers.size > forReads);
  }

  function isLastFree(): boolean {
    const [oldest] = readers;
    return report !== undefined && oldest !== undefined && oldest.since + SENT_WITHIN_MS < report.at;
  }

  const mayTakeLast = (reads: string | undefined) =>
    reads !== undefined && readers.size <= forReads && isLastFree() && report?.mentionsLocked(reads) === false;

  async function watch(): Promise<void> {
    if (isWatching || forAll === poolMax) return;
    isWatching = true;
    for (;;) {
      await delay(ASKED_EVERY_MS, undefined, { ref: false });
      if (waiters.size === 0) break;
      const at = performance.now();
      report = await findLocked().then(
        ({ rows }) => ({ at, mentionsLocked: findOneOf(rows.map(({ name }) => name)) }),
        () => undefined,
      );
      admit();
    }
    isWatching = false;
  }

  return {
    async take(reads, withinMs) {
      if (isForAll(reads)) return occupy(reads);
      return await new Promise<() => void>((resolve, reject) => {
        const late = setTimeout(() => {
          waiters.delete(waiter);
          reject(new NoPlaceToWait());
        }, withinMs);
        const waiter = {
          reads,
          begin() {
            clearTimeout(late);
            resolve(occupy(reads));
          },
        };
        waiters.add(waiter);
        admit();
        void watch();
      });
    },
    waiting: () => waiters.size,
  };
}

/** Finds out whether a text has one of the names in it. Names of other forms are not those of our tables. */
function findOneOf(names: string[]): (text: string) => boolean {
  const plain = names.filter((name) => /^\w+$/.test(name));
  const one = new RegExp(`\\b(?:${plain.join("|")})\\b`);
  return (text) => plain.length > 0 && one.test(text);
}
