import { setTimeout as delay } from "node:timers/promises";
import type { Db } from "../db/client.ts";
import { Unavailable } from "../errors.ts";
import { type Asking, whoCanTake } from "./who-can-take.ts";

/** Where a notification may get lost, as behind PgBouncer, this is about how long the news takes; 2 s at most are promised. */
const LOOK_EVERY_MS = 1_000;
/** So many claim at the same time, at most as many as there are tasks for them. */
const AT_ONCE = 8;
/** A task that a waiter can take but does not get has its row locked by somebody else, for a moment. */
const AGAIN_AFTER_MS = 100;
const MOST_WAITERS = 1_000;

export interface WaitingRoom {
  /**
   * Runs `attempt` at once, and then whenever there is something that the worker can take, until it resolves to true or `signal` is aborted;
   * never two at once. Unavailable: too many wait already. Throws what `attempt` throws.
   */
  wait(asking: Asking, signal: AbortSignal, attempt: () => Promise<boolean>): Promise<void>;
  /** There is something new in the queue. */
  ring(): void;
  /** How many wait now. */
  size(): number;
  /** Ends all waits. */
  close(): void;
}

interface Waiter extends Asking {
  /** Resolves to true when it does not wait any more. */
  attempt(): Promise<boolean>;
  leave(): void;
}

/**
 * Those who wait for tasks on this instance. News are one query for all of them, which says who can take something; these are woken, the
 * longest waiting first, a few at once: a crowd that all looked would be hundreds of queries for one task.
 */
export function openWaitingRoom(db: Db, mostWaiters = MOST_WAITERS): WaitingRoom {
  const waiters = new Set<Waiter>();
  let rings = 0;
  let isClosed = false;
  let isLooking = false;

  async function look(): Promise<void> {
    for (let misses = 0; ; ) {
      const line = [...waiters];
      const able = line.length === 0 ? [] : await whoCanTake(db, line, AT_ONCE);
      if (able.length === 0) return;
      const served = await Promise.all(able.map((n) => line[n]?.attempt()));
      if (served.includes(true)) continue;
      if (++misses === 2) return;
      // The next time others are asked first.
      for (const waiter of able.map((n) => line[n])) if (waiter && waiters.delete(waiter)) waiters.add(waiter);
      await delay(AGAIN_AFTER_MS);
    }
  }

  async function wake(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    try {
      for (let heard = -1; heard !== rings; ) {
        heard = rings;
        await look();
      }
    } catch {
      // The database is away. The timer looks again.
    } finally {
      isLooking = false;
    }
  }

  function ring(): void {
    rings += 1;
    void wake();
  }
  const timer = setInterval(ring, LOOK_EVERY_MS).unref();

  function enter(asking: Asking, signal: AbortSignal, attempt: () => Promise<boolean>): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      let isTrying = false;
      const end = (settle: () => void) => {
        waiters.delete(waiter);
        signal.removeEventListener("abort", waiter.leave);
        settle();
      };
      const waiter: Waiter = {
        ...asking,
        attempt: async () => {
          if (!waiters.has(waiter)) return true;
          isTrying = true;
          try {
            if ((await attempt()) || signal.aborted || isClosed) end(resolve);
          } catch (error) {
            end(() => reject(error));
          }
          isTrying = false;
          return !waiters.has(waiter);
        },
        // An attempt that is being made is let to its end: it may hold tasks.
        leave: () => isTrying || end(resolve),
      };
      signal.addEventListener("abort", waiter.leave);
      waiters.add(waiter);
    });
  }

  return {
    ring,
    size: () => waiters.size,
    close: () => {
      isClosed = true;
      clearInterval(timer);
      for (const waiter of waiters) waiter.leave();
    },
    wait: async (asking, signal, attempt) => {
      const before = rings;
      if ((await attempt()) || signal.aborted || isClosed) return;
      if (waiters.size >= mostWaiters) throw new Unavailable("Too many workers wait on this instance; try again.");
      const waiting = enter(asking, signal, attempt);
      // What came during that attempt may be too new for it.
      if (rings !== before) ring();
      await waiting;
    },
  };
}
