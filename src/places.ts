import { openFairTurns } from "./fair-turns.ts";

/** Places, of which a bounded number may be taken at a time. */
export interface Places {
  /**
   * Takes a place as soon as one is free; the function that it gives leaves the place again, and does nothing when called again. Rejects when none
   * was free within `withinMs`, which is that of the places unless it is given.
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
  // To one asker, fair turns come in the order in which it asks for them.
  const turns = openFairTurns({ atOnce: most, ofOne: Infinity, ofAll: Infinity }, overdue);
  return { take: (patienceMs = withinMs) => turns.take("", patienceMs), waiting: turns.waiting };
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
