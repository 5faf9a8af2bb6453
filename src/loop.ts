import type { Logger } from "pino";
import { pause } from "./signals.ts";

/** A running loop. `stop()` lets a pass in flight end and then resolves; calling it twice is harmless. */
export interface Loop {
  stop(): Promise<void>;
}

/**
 * Runs `pass` now and then every `intervalMs` milliseconds, never two at once: the next wait begins when the pass has ended.
 * The wait varies by up to 10 %, so that instances that were started together do not stay in step.
 * A pass that gives an object says how many of what it has changed: what is more than 0 is logged. One that throws is logged too, and the
 * loop goes on.
 */
export function every(intervalMs: number, name: string, log: Logger, pass: () => Promise<unknown>): Loop {
  const stopped = new AbortController();
  const report = (changes: unknown) => {
    if (typeof changes !== "object" || changes === null) return;
    const made = Object.entries(changes).filter(([, count]) => count > 0);
    if (made.length === 0) return;
    const words = made.map(([what, count]) => `${count} ${what}`).join(", ");
    log.info({ loop: name, ...Object.fromEntries(made) }, `${name}: ${words}`);
  };
  const run = async () => {
    while (!stopped.signal.aborted) {
      try {
        report(await pass());
      } catch (error) {
        log.error({ err: error, loop: name }, "loop pass failed");
      }
      const jitter = 0.9 + Math.random() * 0.2;
      // An aborted wait is how stop() ends the loop, not a fault.
      await pause(intervalMs * jitter, stopped.signal);
    }
  };
  const done = run();
  return {
    stop() {
      stopped.abort();
      return done;
    },
  };
}
