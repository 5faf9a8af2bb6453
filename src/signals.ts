import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** A signal made of others; `forget()` lets go of them and of the timer, and must be called when the signal is not needed any more. */
export interface JoinedSignal {
  signal: AbortSignal;
  forget(): void;
}

/**
 * Aborted when one of `sources` is, with its reason, or after `withinMs` milliseconds, with a TimeoutError. In place of AbortSignal.any and
 * AbortSignal.timeout: Node 20 and 22 hold those weakly, and after a collection of garbage they never come (nodejs/node#57736).
 */
export function joinSignals(sources: AbortSignal[], withinMs?: number): JoinedSignal {
  const joined = new AbortController();
  const stops = sources.map((source) => {
    const abort = () => joined.abort(source.reason);
    if (source.aborted) abort();
    // One that lives as long as the process has many that listen, none of them for good.
    setMaxListeners(0, source);
    source.addEventListener("abort", abort, { once: true });
    return () => source.removeEventListener("abort", abort);
  });
  const late = () => joined.abort(new DOMException("The time is over.", "TimeoutError"));
  const timer = withinMs === undefined ? undefined : setTimeout(late, Math.ceil(withinMs));
  return {
    signal: joined.signal,
    forget: () => {
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}

/** Waits so many milliseconds, or until the signal is aborted, which is no fault. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // That it was aborted is all that can go wrong.
  await delay(ms, undefined, { signal }).catch(() => {});
}
