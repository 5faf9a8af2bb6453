import { type ClientRateLimitInfo, MemoryStore, type Options } from "express-rate-limit";
import type { Db } from "../db/client.ts";
import { isDatabaseUnavailable } from "../db/faults.ts";
import { countHit, takeHitBack } from "../db/rate-counts.ts";

/** Every limit is by minute. */
export const WINDOW_MS = 60_000;

/** Counts the hits of clients by the minute. */
export interface HitStore {
  increment(client: string): Promise<ClientRateLimitInfo>;
  decrement(client: string): Promise<void>;
  resetKey(client: string): Promise<void>;
}

/** Makes the store of the limit called `name`, which counts for itself. */
export type MakeHitStore = (name: string) => HitStore;

/** Counts in this process: each instance allows what the limit says. */
export function inMemory(): HitStore {
  const store = new MemoryStore();
  store.init({ windowMs: WINDOW_MS } as Options);
  let last: Promise<unknown> = Promise.resolve();
  return {
    // Hits are counted one after the other, since the store gives an object that the next hit changes: each of 32 requests that came at once saw 32
    // hits.
    increment(client) {
      const counted = last.then(async () => ({ ...(await store.increment(client)) }));
      last = counted;
      return counted;
    },
    decrement: (client) => store.decrement(client),
    resetKey: (client) => store.resetKey(client),
  };
}

/** Counts in the database: all instances together allow what the limit says. While it does not answer, each counts by itself. */
export const inDatabase =
  (db: Db): MakeHitStore =>
  (name) => {
    const meanwhile = inMemory();
    const key = (client: string) => `${name} ${client}`;
    async function orMeanwhile<T>(shared: () => Promise<T>, alone: () => Promise<T>): Promise<T> {
      try {
        return await shared();
      } catch (error) {
        if (!isDatabaseUnavailable(error)) throw error;
        db.log.debug({ err: error, limit: name }, "hits are counted by this instance alone");
        return alone();
      }
    }
    return {
      increment: (client) =>
        orMeanwhile(
          async () => {
            const { hits, endsInMs } = await countHit(db, key(client), WINDOW_MS);
            return { totalHits: hits, resetTime: new Date(Date.now() + endsInMs) };
          },
          () => meanwhile.increment(client),
        ),
      decrement: (client) =>
        orMeanwhile(
          () => takeHitBack(db, key(client)),
          () => meanwhile.decrement(client),
        ),
      resetKey: (client) => meanwhile.resetKey(client),
    };
  };
