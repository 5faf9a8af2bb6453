import type { Db } from "../db/client.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";
import { createOutageLog } from "../outage-log.ts";
import { type Piece, type PiecesOfMany, readLiveOutputs } from "./live-output.ts";

/** How often one query reads the new output for all followers of this instance. Without followers there is no query. */
const LOOK_EVERY_MS = 500;
/** How soon it reads again where a look left something for later, so that the process has time for others between two full looks. */
const AGAIN_MS = 50;
const MOST_FOLLOWERS = 1_000;
/**
 * What one look reads: for one follower, so that a client that takes it has not too much to take at once (http/sse-answer.ts), and for all. In
 * JSON a byte may become six. Without the bound, 400 followers of 256 KB each made one answer of 600 MB.
 */
const SHARES = { mostOfOne: 128 * 1024, mostBytes: 1024 * 1024 };

/** Somebody who follows the output of a task. */
export interface Follower {
  taskId: string;
  /** The position behind which the output is wanted. */
  after: number;
  /** Takes what the task has printed since. */
  take(pieces: Piece[]): void;
  /** True while the follower has not yet taken what it was given. It gets nothing more then. */
  isFull(): boolean;
}

/** A follower of this instance. */
interface Following extends Follower {
  /** How many bytes it was given since a look last left nothing for later; never less than `least` when a look begins. */
  had: number;
  end(): void;
}

/** Who follows the output of running tasks on this instance. */
export interface LiveFollowers {
  /** Unavailable: too many follow already. */
  requirePlace(): void;
  /**
   * Hands the follower what its task has printed, and then what it prints, until it has ended or `signal` is aborted; resolves then. When there is
   * more than one look can give, followers who were given least come first. While the database cannot be asked, the follower waits.
   */
  follow(follower: Follower, signal: AbortSignal): Promise<void>;
}

/**
 * Lets callers follow live output. The followers with the fewest bytes so far are served first, piece by piece (`had`, and `own` in live-output.ts).
 * A follower that is new, or that waits again after a pause, starts at the lowest number of those who wait, and not at 0: it would be served alone
 * until it had caught up. When nobody waits, all start at 0 again.
 */
export function openLiveFollowers(db: Db): LiveFollowers {
  const followers = new Set<Following>();
  const outage = createOutageLog(db.log, "a look for new live output");
  let timer: NodeJS.Timeout | undefined;
  let again: NodeJS.Timeout | undefined;
  let isLooking = false;
  /** The fewest bytes that a follower who still waits was given. A follower that comes later begins with this number. */
  let least = 0;
  watchWaiters(db.meters, "live output", () => followers.size);

  async function look(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    clearTimeout(again);
    again = undefined;
    const asked = [...followers].filter((follower) => !follower.isFull());
    for (const follower of asked) follower.had = Math.max(follower.had, least);
    try {
      const waiting: number[] = [];
      for (const read of await readLiveOutputs(db, asked, SHARES)) {
        const follower = asked[read.index];
        if (!follower || !followers.has(follower)) continue;
        giveTo(follower, read);
        if (read.hasMore) waiting.push(follower.had);
      }
      outage.worked();
      least = waiting.length > 0 ? Math.min(...waiting) : 0;
      if (waiting.length > 0) again = setTimeout(() => void look(), AGAIN_MS).unref();
      else for (const follower of followers) follower.had = 0;
    } catch (error) {
      // The timer looks again, from the same positions.
      outage.failed(error);
    } finally {
      isLooking = false;
    }
  }

  /** Gives the follower what was read for it, and ends it at the end of its task's output. */
  function giveTo(follower: Following, { pieces, bytes, isOver, hasMore }: PiecesOfMany): void {
    follower.after = pieces.at(-1)?.position ?? follower.after;
    follower.had += bytes;
    if (pieces.length > 0) follower.take(pieces);
    else if (isOver && !hasMore) follower.end();
  }

  return {
    requirePlace() {
      if (followers.size >= MOST_FOLLOWERS)
        throw new Unavailable("Too many follow the output of tasks on this instance; try again.");
    },
    follow(follower, signal) {
      return new Promise((resolve) => {
        const end = () => {
          followers.delete(following);
          signal.removeEventListener("abort", end);
          if (followers.size === 0) {
            clearInterval(timer);
            timer = undefined;
          }
          resolve();
        };
        const following: Following = { ...follower, had: 0, end };
        followers.add(following);
        signal.addEventListener("abort", end, { once: true });
        timer ??= setInterval(() => void look(), LOOK_EVERY_MS).unref();
        if (signal.aborted) end();
        else if (again === undefined) void look();
      });
    },
  };
}
