import { setTimeout as delay } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { coalesceRuns } from "../coalesce-runs.ts";
import type { Db } from "../db/client.ts";
import { statement } from "../db/statement.ts";
import { openStatuses } from "../db/status-lists.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";

/** How often to look without being notified, since notifications may get lost. */
const LOOK_EVERY_MS = 1_000;
/** The pause after a look is four times as long as the look took, so that a thousand completions a second do not make a thousand looks. */
const PAUSE_PER_LOOK = 4;
/** The most callers that wait for results on one instance. */
const MOST_WAITERS = 5_000;

/** The callers that wait on this instance until a task has ended. */
export interface ResultWaiters {
  /** Unavailable: too many callers wait already. */
  requirePlace(): void;
  /** Resolves when the task has ended (within about a second), when `signal` is aborted, or at the service's stop. */
  wait(taskId: string, signal: AbortSignal): Promise<void>;
  /** Says that some task may have ended. */
  notify(): void;
  /** How many callers wait now. */
  size(): number;
  /** Ends all waits. */
  close(): void;
}

/** The status is written as "(…) is false", so that the planner finds the tasks by their ids and not by the index of the status. */
const ENDED = statement<{ id: string }, { ids: string[] }>(
  "ended_tasks",
  sql`select id from llm_tasks where id = any(${sql.placeholder("ids")}::uuid[])
    and (status in (${openStatuses})) is false`,
);

/** Each look is one query for all callers, which finds their tasks by primary key. A look begins when there is news, and else each second. */
export function openResultWaiters(db: Db, mostWaiters = MOST_WAITERS): ResultWaiters {
  const waiters = new Map<string, Set<() => void>>();
  let count = 0;
  let isClosed = false;
  watchWaiters(db.meters, "result", () => count);

  async function look(): Promise<void> {
    if (waiters.size === 0) return;
    const began = performance.now();
    for (const { id } of await ENDED(db, { ids: [...waiters.keys()] })) for (const end of waiters.get(id) ?? []) end();
    await delay(PAUSE_PER_LOOK * (performance.now() - began), undefined, { ref: false });
  }

  const lookSoon = coalesceRuns(db.log, "a look for ended tasks for waiting callers", look);
  const notify = () => void lookSoon();
  const timer = setInterval(notify, LOOK_EVERY_MS).unref();

  return {
    requirePlace: () => {
      if (count >= mostWaiters) throw new Unavailable("Too many callers wait for results on this instance; try again.");
    },
    wait: (taskId, signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted || isClosed) return resolve();
        const id = taskId.toLowerCase();
        const same = waiters.get(id) ?? new Set();
        const end = () => {
          signal.removeEventListener("abort", end);
          if (!same.delete(end)) return;
          if (same.size === 0) waiters.delete(id);
          count -= 1;
          resolve();
        };
        signal.addEventListener("abort", end);
        waiters.set(id, same.add(end));
        count += 1;
        // The task may have ended since its caller looked.
        notify();
      }),
    notify,
    size: () => count,
    close: () => {
      isClosed = true;
      clearInterval(timer);
      for (const same of waiters.values()) for (const end of same) end();
    },
  };
}
