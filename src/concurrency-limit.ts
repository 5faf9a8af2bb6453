/** Places, of which a bounded number may be taken at a time. */
export interface Places {
  /**
   * Takes a place as soon as one is free; the function that it gives leaves the place again, and is called once. Rejects when none was free within
   * `withinMs`, which is that of the places unless it is given.
   */
  take(withinMs?: number): Promise<() => void>;
  /** How many wait for a place now. */
  waiting(): number;
}

/**
 * Opens `most` places. A caller that has got no place within `withinMs` milliseconds is refused with the error `overdue`. First come, first
 * served.
 */
export function openPlaces(most: number, withinMs: number, overdue: () => Error): Places {
  let taken = 0;
  const waiting: (() => void)[] = [];
  const waitForOther = (patienceMs: number) =>
    new Promise<void>((resolve, reject) => {
      const go = () => {
        clearTimeout(late);
        resolve();
      };
      const late = setTimeout(() => {
        waiting.splice(waiting.indexOf(go), 1);
        reject(overdue());
      }, patienceMs);
      waiting.push(go);
    });
  const leave = () => {
    const next = waiting.shift();
    if (next) next();
    else taken -= 1;
  };
  return {
    async take(patienceMs = withinMs) {
      if (taken < most) taken += 1;
      else await waitForOther(patienceMs);
      return leave;
    },
    waiting: () => waiting.length,
  };
}

/** Runs `work` as soon as the limit allows it. Rejects with what `work` throws, or when the limit has not allowed it in time. */
export type Limited = <Done>(work: () => Promise<Done> | Done) => Promise<Done>;

/**
 * Gives a function that runs `most` works at a time. A work that has not begun within `withinMs` milliseconds is refused with the error
 * `overdue`.
 */
export function limitConcurrency(most: number, withinMs: number, overdue: () => Error): Limited {
  const places = openPlaces(most, withinMs, overdue);
  return async (work) => {
    const leave = await places.take();
    try {
      return await work();
    } finally {
      leave();
    }
  };
}
