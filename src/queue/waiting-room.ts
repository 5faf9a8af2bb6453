import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { Unavailable } from "../errors.ts";
import { isDue } from "./tasks.ts";

/** Where a notification may get lost, as behind PgBouncer, this is how long the news takes at most. */
const LOOK_EVERY_MS = 2_000;
const MOST_WAITERS = 1_000;

export interface WaitingRoom {
  /**
   * Runs `attempt` whenever there may be something new for the worker, until it resolves to true or `signal` is aborted; never two at
   * once. Unavailable: too many wait already. Throws what `attempt` throws.
   */
  wait(workerId: string, signal: AbortSignal, attempt: () => Promise<boolean>): Promise<void>;
  /** There is something new in the queue. */
  ring(): void;
  /** How many wait now. */
  size(): number;
  /** Ends all waits. */
  close(): void;
}

interface Waiter {
  workerId: string;
  attempt(): Promise<void>;
}

/**
 * Those who wait for tasks on this instance. News wake them one after another, the longest waiting first, and only while something is
 * queued: a crowd that all looked at once would be hundreds of queries for one task.
 */
export function openWaitingRoom(db: Db, mostWaiters = MOST_WAITERS): WaitingRoom {
  const waiters = new Set<Waiter>();
  /** Who is to look, in this order. */
  const woken = new Set<Waiter>();
  const closed = new AbortController();
  let isLooking = false;
  let lastSeen = "";

  async function look(): Promise<void> {
    while (woken.size > 0) {
      // Whoever is woken from here on is in for another turn: what woke them may be too new for this one.
      const turn = [...woken];
      woken.clear();
      for (const waiter of turn) {
        if (!waiters.has(waiter)) continue;
        if (!(await hasDue(db))) break;
        await waiter.attempt();
      }
    }
  }

  async function wake(some: Iterable<Waiter>): Promise<void> {
    for (const waiter of some) woken.add(waiter);
    if (isLooking) return;
    isLooking = true;
    try {
      await look();
    } catch {
      // The database is away. Whatever the next look around sees is news.
      lastSeen = "";
      woken.clear();
    } finally {
      isLooking = false;
    }
  }

  async function lookAround(): Promise<void> {
    if (waiters.size === 0) return;
    const now = await digest(db, [...new Set([...waiters].map(({ workerId }) => workerId))]).catch(() => lastSeen);
    if (now === lastSeen) return;
    lastSeen = now;
    await wake(waiters);
  }
  const timer = setInterval(lookAround, LOOK_EVERY_MS).unref();

  return {
    ring: () => void wake(waiters),
    size: () => waiters.size,
    close: () => {
      closed.abort();
      clearInterval(timer);
    },
    wait: (workerId, given, attempt) => {
      if (waiters.size >= mostWaiters) throw new Unavailable("Too many workers wait on this instance; try again.");
      const signal = AbortSignal.any([given, closed.signal]);
      return new Promise<void>((resolve, reject) => {
        let isTrying = false;
        const leave = (settle: () => void) => {
          waiters.delete(waiter);
          settle();
        };
        const waiter: Waiter = {
          workerId,
          attempt: async () => {
            isTrying = true;
            try {
              if ((await attempt()) || signal.aborted) leave(resolve);
            } catch (error) {
              leave(() => reject(error));
            } finally {
              isTrying = false;
            }
          },
        };
        if (signal.aborted) return resolve();
        // An attempt that is being made is let to its end: it may hold tasks.
        signal.addEventListener("abort", () => isTrying || leave(resolve), { once: true });
        waiters.add(waiter);
        void wake([waiter]);
      });
    },
  };
}

async function hasDue(db: Db): Promise<boolean> {
  // Ordered, so that it reads the index of queued tasks: among a million others it took 177 ms to come upon one by chance.
  const { rows } = await db.execute(
    sql`select from ${llmTasks} where status = 'queued' and ${isDue} order by created_at, id limit 1`,
  );
  return rows.length > 0;
}

/** Differs when the queue, or what one of the workers holds, has changed. */
async function digest(db: Db, workerIds: string[]): Promise<string> {
  const { rows } = await db.execute(sql`select
    (select count(*) || ' ' || coalesce(max(updated_at), 0) from ${llmTasks} where status = 'queued' and ${isDue}) as queue,
    (select count(*) from ${leases} where status = 'active' and worker_id = any(${sql.param(workerIds)}::text[])) as held`);
  return JSON.stringify(rows);
}
