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

const ONE_WISH_MS = 500;

/**
 * Calls `first` when somebody asks the process to end, and `again` for each later time. A second signal of the same kind within half a second
 * is the same wish: of Ctrl-C, a program that npm has started hears from the terminal and from npm. SIGHUP says that the terminal has gone,
 * so nobody is left to ask a second time: it counts as both. `source` is for tests.
 */
export function onEndAsked(
  first: (signal: NodeJS.Signals) => void,
  again: () => void,
  source: NodeJS.EventEmitter = process,
): void {
  const heardAt = new Map<NodeJS.Signals, number>();
  const hear = (signal: NodeJS.Signals) => {
    const now = performance.now();
    const isFirst = heardAt.size === 0;
    const isEcho = now - (heardAt.get(signal) ?? Number.NEGATIVE_INFINITY) < ONE_WISH_MS;
    heardAt.set(signal, now);
    if (isFirst) first(signal);
    if (isFirst ? signal === "SIGHUP" : !isEcho) again();
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) source.on(signal, hear);
}

/** Waits so many milliseconds, or until the signal is aborted, which is no fault. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // That it was aborted is all that can go wrong.
  await delay(ms, undefined, { signal }).catch(() => {});
}
