import type { Logger } from "pino";
import { createOutageLog } from "../outage-log.ts";

/**
 * Gives a function that asks for a look: `look` runs at once, or once more when the run in flight has ended, however often it was asked for in
 * between. A look that fails is logged under `name`, and is not made again by itself: its owner's timer asks for the next one.
 */
export function createLookSoon(log: Logger, name: string, look: () => Promise<void>): () => Promise<void> {
  const outage = createOutageLog(log, name);
  let asked = 0;
  let isLooking = false;
  return async () => {
    asked += 1;
    if (isLooking) return;
    isLooking = true;
    try {
      for (let answered = -1; answered !== asked; ) {
        answered = asked;
        await look();
      }
      outage.worked();
    } catch (error) {
      outage.failed(error);
    } finally {
      isLooking = false;
    }
  };
}
