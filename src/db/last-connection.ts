/** Keeps the pool's last connection from what would wait on it for a table that somebody has wholly locked. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { NoPlaceToWait } from "./faults-found-here.ts";

/**
 * The tables that cannot be read now, those with a locked index included: somebody holds the lock that excludes reading, or is next to get it.
 */
export const LOCKED_TABLES = `
  select distinct relname as name from pg_locks
  left join pg_index on indexrelid = relation join pg_class on pg_class.oid = coalesce(indrelid, relation)
  where locktype = 'relation' and mode = 'AccessExclusiveLock'
    and database = (select oid from pg_database where datname = current_database())`;

/** Ordinary waits are over sooner, so that the server is not asked about them. */
const ASKED_EVERY_MS = 100;
/** By then a statement has come to the server, and has the lock that it needs, or waits for it. */
const SENT_WITHIN_MS = 50;
/** In a pool of two, one connection must be enough for changes, and the other one is there for all reads. */
const TOO_SMALL_TO_KEEP_ONE = 2;

/** The connections of the pool that are in use by what may wait for tables. */
export interface UsedConnections {
  /**
   * Takes one, as soon as it is free for this; the function that it gives hands it back, and is called once. `reads` is the text of a statement that
   * only reads, and undefined is a change. NoPlaceToWait: there was none within `withinMs` milliseconds.
   */
  take(reads: string | undefined, withinMs: number): Promise<() => void>;
  /** How many wait for one now. */
  waiting(): number;
}

interface Waiter {
  reads: string | undefined;
  begin(): void;
}

/** What the server said: which tables were locked at that time of the process's clock. */
interface Report {
  at: number;
  names(text: string): boolean;
}

/**
 * All but one of `poolMax` connections are for everybody, first come, first served. While they are in use, the last one is for reads of tables that
 * nobody has locked: 12 reads of a locked table took all six connections for 8 s, and what reads other tables waited. `findLocked` asks the server
 * with LOCKED_TABLES; it is called only while somebody waits for long. Where it rejects, nobody gets the last one.
 *
 * The tables may have been locked since, so one of the reads in use must be older than what the server said: that one waits for none of the other
 * tables, and so at most all but one of the connections wait for one table.
 */
export function useConnections(
  poolMax: number,
  findLocked: () => Promise<pg.QueryResult<{ name: string }>>,
): UsedConnections {
  const forAll = poolMax > TOO_SMALL_TO_KEEP_ONE ? poolMax - 1 : poolMax;
  let used = 0;
  /** When the reads that are in use began, the oldest first. */
  const reading = new Set<{ since: number }>();
  /** In the order in which they came. */
  const waiters = new Set<Waiter>();
  let isWatching = false;
  let report: Report | undefined;

  function use(reads: string | undefined): () => void {
    const read = { since: performance.now() };
    used += 1;
    if (reads !== undefined) reading.add(read);
    return () => {
      used -= 1;
      reading.delete(read);
      admit();
    };
  }

  function admit(): void {
    for (const waiter of waiters) {
      if (used >= poolMax || (used >= forAll && !isLastFree())) return;
      if (used >= forAll && !mayTakeLast(waiter)) continue;
      waiters.delete(waiter);
      waiter.begin();
    }
  }

  function isLastFree(): boolean {
    const [oldest] = reading;
    return report !== undefined && oldest !== undefined && oldest.since + SENT_WITHIN_MS < report.at;
  }

  const mayTakeLast = ({ reads }: Waiter) => reads !== undefined && report?.names(reads) === false;

  async function watch(): Promise<void> {
    if (isWatching || forAll === poolMax) return;
    isWatching = true;
    for (;;) {
      await delay(ASKED_EVERY_MS, undefined, { ref: false });
      if (waiters.size === 0) break;
      const at = performance.now();
      report = await findLocked().then(
        ({ rows }) => ({ at, names: findOneOf(rows.map(({ name }) => name)) }),
        () => undefined,
      );
      admit();
    }
    isWatching = false;
  }

  return {
    async take(reads, withinMs) {
      if (used < forAll) return use(reads);
      return await new Promise<() => void>((resolve, reject) => {
        const late = setTimeout(() => {
          waiters.delete(waiter);
          reject(new NoPlaceToWait());
        }, withinMs);
        const waiter = {
          reads,
          begin() {
            clearTimeout(late);
            resolve(use(reads));
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
