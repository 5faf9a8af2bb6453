import type { Db } from "../db/client.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";
import { type Pieces, readLiveOutput } from "./live-output.ts";

/** How often one query reads the new output for all followers of this instance. Without followers there is no query. */
const LOOK_EVERY_MS = 500;
const MOST_FOLLOWERS = 1_000;

interface Follower {
  taskId: string;
  after: number;
  take(pieces: Pieces): void;
  fail(error: unknown): void;
}

/** Who follows the output of running tasks on this instance. */
export interface LiveFollowers {
  /** Unavailable: too many follow already. */
  requireSpace(): void;
  /**
   * Hands `take` what the task has printed behind `after`, and then what it prints, until it has ended or `signal` is aborted; resolves then.
   * Rejects when the database cannot be asked.
   */
  follow(taskId: string, after: number, signal: AbortSignal, take: (pieces: Pieces) => void): Promise<void>;
}

export function openLiveFollowers(db: Db): LiveFollowers {
  const followers = new Set<Follower>();
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;
  watchWaiters(db.meters, "live output", () => followers.size);

  async function look(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    const asked = [...followers];
    try {
      const read = await readLiveOutput(db, lowestOf(asked));
      const found = new Map(read.map((pieces) => [pieces.task_id, pieces]));
      // There is one answer for each task. Several followers of a task may each be at another position.
      for (const follower of asked) {
        const mine = found.get(follower.taskId);
        if (!mine || !followers.has(follower)) continue;
        const pieces = mine.pieces.filter(({ position }) => position > follower.after);
        follower.after = pieces.at(-1)?.position ?? follower.after;
        follower.take({ ...mine, pieces });
      }
    } catch (error) {
      for (const follower of asked) follower.fail(error);
    } finally {
      isLooking = false;
    }
  }

  return {
    requireSpace() {
      if (followers.size >= MOST_FOLLOWERS)
        throw new Unavailable("Too many follow the output of tasks on this instance; try again.");
    },
    follow(taskId, after, signal, take) {
      return new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          followers.delete(follower);
          signal.removeEventListener("abort", leave);
          if (followers.size === 0) {
            clearInterval(timer);
            timer = undefined;
          }
          settle();
        };
        const leave = () => end(resolve);
        const follower: Follower = {
          taskId,
          after,
          take: (pieces) => {
            take(pieces);
            if (pieces.isOver && pieces.pieces.length === 0) end(resolve);
          },
          fail: (error) => end(() => reject(error)),
        };
        followers.add(follower);
        signal.addEventListener("abort", leave, { once: true });
        timer ??= setInterval(() => void look(), LOOK_EVERY_MS).unref();
        if (signal.aborted) leave();
        else void look();
      });
    },
  };
}

/** Lists each task once, with the position of the follower that has read least of it. */
function lowestOf(followers: Follower[]): { taskId: string; after: number }[] {
  const lowest = new Map<string, number>();
  for (const { taskId, after } of followers) lowest.set(taskId, Math.min(after, lowest.get(taskId) ?? after));
  return [...lowest].map(([taskId, after]) => ({ taskId, after }));
}
