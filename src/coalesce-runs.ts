import type { Logger } from "pino";
import { createOutageLog } from "./outage-log.ts";

/**
 * Gives a function that asks for a run of `run`: at once, or, while one is in flight, once more after it, however often it was
 * asked for in between. It resolves when no run is in flight or asked for. A run that fails is logged under `name`. Only
 * a new call asks for another one, such as that of its owner's timer.
 */
export function coalesceRuns(log: Logger, name: string, run: () => Promise<void>): () => Promise<void> {
  const outage = createOutageLog(log, name);
  let asked = 0;
  let isRunning = false;
  let running = Promise.resolve();
  const runWhileAsked = async () => {
    for (let answered = -1; answered !== asked; ) {
      answered = asked;
      try {
        await run();
        outage.worked();
      } catch (error) {
        outage.failed(error);
      }
    }
    isRunning = false;
  };
  return () => {
    asked += 1;
    if (!isRunning) {
      isRunning = true;
      running = runWhileAsked();
    }
    return running;
  };
}
