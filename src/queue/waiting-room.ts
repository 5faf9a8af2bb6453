import { setTimeout as delay } from "node:timers/promises";
import type { Db } from "../db/client.ts";
import { Unavailable } from "../errors.ts";
import { type Asking, type InLine, Line } from "./line.ts";
import { changedStandings, type Standing } from "./standing.ts";
import { takeableSince } from "./takeable.ts";

/** Where a notification may get lost, as behind PgBouncer, this is about how long the news takes; 2 s at most are promised. */
const LOOK_EVERY_MS = 1_000;
/**
 * A look goes back so far behind the one before: a task's time is that of its statement, which commits later. Each second one goes back
 * further than a statement may take.
 */
const MARGIN_MS = 1_000;
const WIDE_MARGIN_MS = 15_000;
/** So many claim at the same time. */
const AT_ONCE = 8;
/** A task that a waiter can take but does not get has its row locked by somebody else, for a moment. */
const AGAIN_AFTER_MS = 100;
/** Each takes a connection and 34 KB, as `npm run bench:waiting` measures. */
const MOST_WAITERS = 5_000;

/** Where a claim stands that got nothing. */
export interface Missed extends Standing {
  /** There were tasks for it that others had locked. */
  isPassedOver: boolean;
}

export interface WaitingRoom {
  /**
   * Runs `attempt` at once, and then whenever there is something that the worker may be able to take, until it resolves to undefined or `signal`
   * is aborted; never two at once. Unavailable: too many wait already. Throws what `attempt` throws.
   */
  wait(asking: Asking, signal: AbortSignal, attempt: () => Promise<Missed | undefined>): Promise<void>;
  /** There is something new in the queue. */
  ring(): void;
  /** How many wait now. */
  size(): number;
  /** Ends all waits. */
  close(): void;
}

interface Waiter extends InLine {
  /** Its next attempt needs no other reason. */
  isDue: boolean;
  /** Resolves to true when it does not wait any more. */
  attempt(): Promise<boolean>;
  leave(): void;
}

/**
 * Those who wait for tasks on this instance. A look asks the database what has become takeable since the last one, and which waiters' workers
 * have got room or other labels; it costs by what is new, and not by the queue. Whom that suits is found here, and these claim, the
 * longest waiting first, a few at once: a crowd that all claimed would be hundreds of queries for one task.
 */
export function openWaitingRoom(db: Db, mostWaiters = MOST_WAITERS): WaitingRoom {
  const line = new Line<Waiter>();
  /** How often there was news, and how often somebody asked for a look, for that or another reason. */
  let rings = 0;
  let asked = 0;
  let isClosed = false;
  let isLooking = false;
  let isWide = true;
  let knownUntil = 0;

  /** Lets those claim soon of whose worker something else was known. */
  async function lookAtWorkers(some: Waiter[]): Promise<void> {
    if (some.length === 0) return;
    const changed = await changedStandings(db, new Map(some.map(({ workerId, standing }) => [workerId, standing])));
    for (const waiter of some) {
      const standing = changed.get(waiter.workerId);
      if (!standing || !line.has(waiter)) continue;
      line.restate(waiter, standing);
      waiter.isDue = standing.hasRoom;
    }
  }

  /** Those who may be able to take something now. */
  async function able(margin: number): Promise<Waiter[]> {
    const due = [...line].filter(({ isDue }) => isDue).slice(0, AT_ONCE);
    const audience = line.audience();
    if (due.length === AT_ONCE || !audience) return due;
    const { now, kinds } = await takeableSince(db, knownUntil, margin, audience);
    knownUntil = now;
    return [...new Set([...due, ...line.fitting(kinds, AT_ONCE)])].slice(0, AT_ONCE);
  }

  async function look(): Promise<void> {
    const margin = isWide ? WIDE_MARGIN_MS : MARGIN_MS;
    await lookAtWorkers([...line].filter(({ standing }) => isWide || !standing.hasRoom));
    isWide = false;
    for (let misses = 0; misses < 2; ) {
      const waiters = await able(margin);
      if (waiters.length === 0) return;
      const served = await Promise.all(waiters.map((waiter) => waiter.attempt()));
      if (served.includes(true)) continue;
      misses += 1;
      // The next time others are asked first.
      for (const waiter of waiters) line.add(waiter);
      await delay(AGAIN_AFTER_MS);
    }
  }

  async function lookSoon(): Promise<void> {
    asked += 1;
    if (isLooking) return;
    isLooking = true;
    try {
      for (let heard = -1; heard !== asked; ) {
        heard = asked;
        if (line.size > 0) await look();
      }
    } catch {
      // The database is away. The timer looks again.
    } finally {
      isLooking = false;
    }
  }

  function ring(): void {
    rings += 1;
    void lookSoon();
  }
  const timer = setInterval(() => {
    isWide = true;
    ring();
  }, LOOK_EVERY_MS).unref();

  function enter(
    asking: Asking,
    { isPassedOver, ...standing }: Missed,
    signal: AbortSignal,
    attempt: Attempt,
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      let isTrying = false;
      const end = (settle: () => void) => {
        line.remove(waiter);
        signal.removeEventListener("abort", waiter.leave);
        settle();
      };
      const waiter: Waiter = {
        ...asking,
        standing,
        isDue: isPassedOver,
        attempt: async () => {
          if (!line.has(waiter)) return true;
          isTrying = true;
          try {
            const missed = await attempt();
            if (!missed || signal.aborted || isClosed) end(resolve);
            else {
              line.restate(waiter, missed);
              waiter.isDue = missed.isPassedOver;
            }
          } catch (error) {
            end(() => reject(error));
          }
          isTrying = false;
          return !line.has(waiter);
        },
        // An attempt that is being made is let to its end: it may hold tasks.
        leave: () => isTrying || end(resolve),
      };
      signal.addEventListener("abort", waiter.leave);
      line.add(waiter);
    });
  }

  return {
    ring,
    size: () => line.size,
    close: () => {
      isClosed = true;
      clearInterval(timer);
      for (const waiter of line) waiter.leave();
    },
    wait: async (asking, signal, attempt) => {
      const before = rings;
      const missed = await attempt();
      if (!missed || signal.aborted || isClosed) return;
      if (line.size >= mostWaiters) throw new Unavailable("Too many workers wait on this instance; try again.");
      const waiting = enter(asking, missed, signal, attempt);
      // What came during that attempt may be too new for it.
      if (missed.isPassedOver || rings !== before) void lookSoon();
      await waiting;
    },
  };
}

type Attempt = () => Promise<Missed | undefined>;
