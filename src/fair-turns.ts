/** Turns, of which a bounded number may be taken at a time. The askers get one each, in a circle, however many turns each of them asks for. */
export interface FairTurns {
  /**
   * Takes a turn for `of`; the function that it gives ends the turn, and is called once. Rejects with `refused` when too many wait, or when there was
   * no turn within `withinMs` milliseconds.
   */
  take(of: string, withinMs?: number): Promise<() => void>;
}

/**
 * Opens the turns, of which `atOnce` may be taken at a time. One asker may have or wait for `ofOne` turns at a time, and all askers together for
 * `ofAll`.
 */
export function openFairTurns(
  { ofOne, ofAll, atOnce = 1 }: { ofOne: number; ofAll: number; atOnce?: number },
  refused: () => Error,
): FairTurns {
  /** The askers that wait, in the order in which their turns come. An asker that had a turn goes to the end. */
  const waiting = new Map<string, (() => void)[]>();
  const asked = new Map<string, number>();
  let all = 0;
  let taken = 0;

  function count(of: string, by: 1 | -1): void {
    all += by;
    const own = (asked.get(of) ?? 0) + by;
    if (own > 0) asked.set(of, own);
    else asked.delete(of);
  }

  function forget(of: string, go: () => void): void {
    const left = waiting.get(of)?.filter((each) => each !== go) ?? [];
    if (left.length > 0) waiting.set(of, left);
    else waiting.delete(of);
  }

  function next(): void {
    const [of, [go, ...left]] = waiting.entries().next().value ?? ["", []];
    if (go === undefined) taken -= 1;
    waiting.delete(of);
    if (left.length > 0) waiting.set(of, left);
    go?.();
  }

  const wait = (of: string, withinMs: number) =>
    new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        forget(of, go);
        count(of, -1);
        reject(refused());
      }, withinMs);
      const go = () => {
        clearTimeout(late);
        resolve();
      };
      waiting.set(of, [...(waiting.get(of) ?? []), go]);
    });

  return {
    async take(of, withinMs = LONGEST_TIMER_MS) {
      if (all >= ofAll || (asked.get(of) ?? 0) >= ofOne) throw refused();
      count(of, 1);
      if (taken < atOnce) taken += 1;
      else await wait(of, withinMs);
      return () => {
        count(of, -1);
        next();
      };
    },
  };
}

/** Node.js has no timers for longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
