/** Turns, of which a bounded number may be taken at a time. The askers get one each, in a circle, however many turns each of them asks for. */
export interface FairTurns {
  /**
   * Takes a turn for the asker; the function that it gives ends the turn, and does nothing when called again. Rejects with `refused` when too many
   * wait, or when there was no turn within `withinMs` milliseconds.
   */
  take(asker: string, withinMs?: number): Promise<() => void>;
  /** How many turns are waited for now. */
  waiting(): number;
}

/**
 * Opens the turns, of which `atOnce` may be taken at a time. One asker may have or wait for `ofOne` turns at a time, and all askers together for
 * `ofAll`.
 */
export function openFairTurns(
  { ofOne, ofAll, atOnce = 1 }: { ofOne: number; ofAll: number; atOnce?: number },
  refused: () => Error,
): FairTurns {
  /** What lets the askers go on that wait, in the order in which their turns come. An asker that had a turn goes to the end. */
  const queues = new Map<string, (() => void)[]>();
  const asked = new Map<string, number>();
  let all = 0;
  let taken = 0;

  function count(asker: string, by: 1 | -1): void {
    all += by;
    const own = (asked.get(asker) ?? 0) + by;
    if (own > 0) asked.set(asker, own);
    else asked.delete(asker);
  }

  function next(): void {
    const [first] = queues;
    if (!first) {
      taken -= 1;
      return;
    }
    const [asker, queue] = first;
    const go = queue.shift();
    queues.delete(asker);
    if (queue.length > 0) queues.set(asker, queue);
    go?.();
  }

  const wait = (asker: string, withinMs: number) =>
    new Promise<void>((resolve, reject) => {
      const queue = queues.get(asker) ?? [];
      const go = () => {
        clearTimeout(late);
        resolve();
      };
      const late = setTimeout(
        () => {
          queue.splice(queue.indexOf(go), 1);
          if (queue.length === 0) queues.delete(asker);
          count(asker, -1);
          reject(refused());
        },
        Math.min(withinMs, LONGEST_TIMER_MS),
      );
      queue.push(go);
      queues.set(asker, queue);
    });

  return {
    async take(asker, withinMs = LONGEST_TIMER_MS) {
      if (all >= ofAll || (asked.get(asker) ?? 0) >= ofOne) throw refused();
      count(asker, 1);
      if (taken < atOnce) taken += 1;
      else await wait(asker, withinMs);
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        count(asker, -1);
        next();
      };
    },
    waiting: () => all - taken,
  };
}

/** Node.js has no timers for longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
