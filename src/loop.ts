import type { Logger } from "pino";
import { pause } from "./abort-signals.ts";
import { faultOf } from "./db/faults.ts";
import { messageOf } from "./errors.ts";
import { watchLoop } from "./metrics/common-meters.ts";
import type { Meters } from "./metrics/service-meters.ts";

/** A running loop. `stop()` lets a pass in flight end and then resolves; calling it twice is harmless. */
export interface Loop {
  stop(): Promise<void>;
}

/**
 * Runs `pass` now, and again `intervalMs` milliseconds after each pass has ended, so that never two run at once. The wait varies by up to 10 %, so
 * that instances that were started together do not stay in step. A pass may give counts of what it changed, or lists of names, as an object; counts
 * above 0 and lists that are not empty are logged, `sessionsForgotten` as "3 sessions forgotten", with how long the pass took. An error of a pass is
 * logged, and the loop goes on; the same error in the next passes is not logged again, and that the loop works again is. `meters` get how long passes took, and how many failed.
 */
export function every(
  intervalMs: number,
  name: string,
  { log, meters }: { log: Logger; meters?: Meters },
  pass: () => Promise<unknown>,
): Loop {
  const stopped = new AbortController();
  let succeededAt: number | undefined;
  let failing: string | undefined;
  if (meters) watchLoop(meters, name, () => succeededAt);
  meters?.loopFailures.add(0, { loop: name });
  const report = (changes: unknown, ms: number) => {
    if (typeof changes !== "object" || changes === null) return;
    const made = Object.entries(changes).filter(([, change]) => (Array.isArray(change) ? change.length : change) > 0);
    if (made.length === 0) return;
    const words = made.map(([name, change]) => {
      const what = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      return Array.isArray(change) ? `${what} ${change.join(", ")}` : `${change} ${what}`;
    });
    log.info({ loop: name, ...Object.fromEntries(made), durationMs: Math.round(ms) }, `${name}: ${words.join(", ")}`);
  };
  const run = async () => {
    while (!stopped.signal.aborted) {
      const began = performance.now();
      try {
        const changes = await pass();
        report(changes, performance.now() - began);
        succeededAt = Date.now();
        if (failing !== undefined) log.info({ loop: name }, `${name}: works again`);
        failing = undefined;
      } catch (error) {
        meters?.loopFailures.add(1, { loop: name });
        if (messageOf(error) !== failing) logFailure(log, name, error);
        failing = messageOf(error);
      }
      meters?.loopDuration.observe((performance.now() - began) / 1_000, { loop: name });
      const jitter = 0.9 + Math.random() * 0.2;
      // stop() aborts this wait.
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

/** A fault of the database that the next pass may not meet is one line without a stack, since nothing in the code has to be mended. */
function logFailure(log: Logger, name: string, error: unknown): void {
  const fault = faultOf(error);
  if (!fault) {
    log.error({ err: error, loop: name }, "loop pass failed");
    return;
  }
  // Somebody has to free space on a full disk; the other faults pass by themselves.
  const level = fault.status === 507 ? "error" : "warn";
  log[level](
    { loop: name, reason: messageOf(error) },
    `${name}: the database could not do this now; it is tried again`,
  );
}
