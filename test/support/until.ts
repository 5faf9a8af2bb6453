import { setTimeout as delay } from "node:timers/promises";

/**
 * Resolves with the time of `performance.now()` when `isSo` is true. Throws where that takes longer than
 * `withinMs`; the error begins with `what`.
 */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  { withinMs = 60_000, everyMs = 50 } = {},
): Promise<number> {
  const started = performance.now();
  while (!(await isSo())) {
    if (performance.now() - started > withinMs) throw new Error(`${what} took more than ${withinMs} ms.`);
    await delay(everyMs);
  }
  return performance.now();
}
