import { setTimeout as delay } from "node:timers/promises";

/** How long it waits for some of what is left to get done, and how often it looks. */
export interface Patience {
  stuckAfterMs: number;
  everyMs: number;
}

/**
 * Waits until `count` finds nothing left, or nothing more gets done, and gives how much is left. `push` is called before each pause. A limit for the
 * whole would fail on a busy machine that is still at work.
 */
export async function untilNoneLeft(
  count: () => number | Promise<number>,
  { stuckAfterMs, everyMs }: Patience,
  push: () => Promise<unknown> = async () => {},
): Promise<number> {
  let fewest = Number.POSITIVE_INFINITY;
  for (let movedAt = performance.now(); ; ) {
    const left = await count();
    if (left < fewest) movedAt = performance.now();
    fewest = Math.min(fewest, left);
    if (left === 0 || performance.now() - movedAt > stuckAfterMs) return left;
    await push();
    await delay(everyMs);
  }
}
