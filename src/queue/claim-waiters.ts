import { setTimeout as delay } from "node:timers/promises";
import { coalesceRuns } from "../coalesce-runs.ts";
import type { Db } from "../db/client.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";
import { changedWorkers } from "./changed-workers.ts";
import { demandsDueSince } from "./newly-due.ts";
import { type Seeker, WaitingLine } from "./waiting-line.ts";
import { type Attempt, type Waiter, waitInLine } from "./waiting-worker.ts";

/**
 * How often to look without a notification. Where notifications get lost, as behind PgBouncer, a waiting worker gets a new task after about this
 * time; 2 s are promised.
 */
const LOOK_EVERY_MS = 1_000;
/**
 * Each look overlaps the look before it by this much: a task has the time at which its statement began, but is seen only after the commit. The looks
 * of the timer use the wide margin, which is longer than a statement may take.
 */
const MARGIN_MS = 1_000;
const WIDE_MARGIN_MS = 15_000;
/** How many waiters claim at the same time. */
const AT_ONCE = 8;
/** The pause after claims that got nothing: somebody else had locked the row of a task that a waiter could take, for a moment. */
const AGAIN_AFTER_MS = 100;
/** The most workers that wait on one instance. Each takes a connection and memory: see docs/performance.md. */
const MOST_WAITERS = 5_000;

export interface ClaimWaiters {
  /**
   * Runs `attempt` at once, and then again whenever there may be a task that the worker can take, one run at a time. Resolves when an attempt
   * gives undefined, or when `signal` is aborted. Unavailable: too many workers wait already. Throws what `attempt` throws.
   */
  wait(seeker: Seeker, signal: AbortSignal, attempt: Attempt): Promise<void>;
  /** Says that there may be something new in the queue. */
  notify(): void;
  /** How many workers wait now. */
  size(): number;
  /** Ends all waits. */
  close(): void;
}

/**
 * The workers that wait for tasks on this instance. A look asks the database which tasks are new since the last look, and which workers have got
 * room or other labels; its cost grows with what is new, not with the queue. The waiters that can take something then claim, the longest waiting
 * first, a few at once. If all of them claimed, one task would cost hundreds of queries.
 */
export function openClaimWaiters(db: Db, mostWaiters = MOST_WAITERS): ClaimWaiters {
  const line = new WaitingLine<Waiter>();
  /** How often there was news. */
  let notices = 0;
  let isClosed = false;
  let isWide = true;
  let knownUntil = 0;
  watchWaiters(db.meters, "claim", () => line.size);

  /** Takes new snapshots of these waiters' workers. A waiter whose worker has changed and has room claims soon. */
  async function lookAtWorkers(some: Waiter[]): Promise<void> {
    if (some.length === 0) return;
    const changed = await changedWorkers(db, new Map(some.map(({ workerId, snapshot }) => [workerId, snapshot])));
    for (const waiter of some) {
      const snapshot = changed.get(waiter.workerId);
      if (!snapshot || !line.has(waiter)) continue;
      line.updateWorker(waiter, snapshot);
      waiter.isDue = snapshot.hasRoom;
    }
  }

  /** The waiters that may be able to take something now. */
  async function findAble(margin: number): Promise<Waiter[]> {
    const due = [...line].filter(({ isDue }) => isDue).slice(0, AT_ONCE);
    const interest = line.interest();
    if (!interest) return due;
    const { now, demands } = await demandsDueSince(db, knownUntil, margin, interest);
    knownUntil = now;
    const forNews = line.membersFor(demands, AT_ONCE);
    // Others that are due take at most half of the places while there is something new for some waiters.
    return [...new Set([...due.slice(0, AT_ONCE / 2), ...forNews, ...due])].slice(0, AT_ONCE);
  }

  async function look(): Promise<void> {
    if (line.size === 0) return;
    const margin = isWide ? WIDE_MARGIN_MS : MARGIN_MS;
    await lookAtWorkers([...line].filter(({ snapshot }) => isWide || !snapshot.hasRoom));
    isWide = false;
    for (let misses = 0; misses < 2; ) {
      const waiters = await findAble(margin);
      if (waiters.length === 0) return;
      const served = await Promise.all(waiters.map((waiter) => waiter.attempt()));
      if (served.includes(true)) continue;
      misses += 1;
      // These move to the end of the line, so that others claim first the next time.
      for (const waiter of waiters) line.add(waiter);
      await delay(AGAIN_AFTER_MS);
    }
  }

  const lookSoon = coalesceRuns(db.log, "a look for tasks for waiting workers", look);

  function notify(): void {
    notices += 1;
    void lookSoon();
  }
  const timer = setInterval(() => {
    isWide = true;
    notify();
  }, LOOK_EVERY_MS).unref();

  return {
    notify,
    size: () => line.size,
    close: () => {
      isClosed = true;
      clearInterval(timer);
      for (const waiter of line) waiter.leave();
    },
    wait: async (seeker, signal, attempt) => {
      const before = notices;
      const missed = await attempt();
      if (!missed || signal.aborted || isClosed) return;
      if (line.size >= mostWaiters) throw new Unavailable("Too many workers wait on this instance; try again.");
      const waiting = waitInLine(line, seeker, missed, signal, attempt);
      // The attempt may not have seen tasks that came while it ran.
      if (missed.isPassedOver || notices !== before) void lookSoon();
      await waiting;
    },
  };
}
