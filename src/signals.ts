import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** A signal made of others. `forget()` must be called when the signal is not needed any more: it stops listening to them and ends the timer. */
export interface JoinedSignal {
  signal: AbortSignal;
  forget(): void;
}

/**
 * Makes a signal that is aborted when one of `sources` is, with its reason, or after `withinMs` milliseconds, with the error that `late` makes.
 * AbortSignal.any and AbortSignal.timeout do not serve here: Node 20 and 22 hold their signals weakly, and after a garbage collection these are never
 * aborted (nodejs/node#57736).
 */
export function joinSignals(sources: AbortSignal[], withinMs?: number, late: () => Error = timeIsOver): JoinedSignal {
  const joined = new AbortController();
  const stops = sources.map((source) => {
    const abort = () => joined.abort(source.reason);
    if (source.aborted) abort();
    // A source that lives as long as the process has many listeners, all of them for a short time.
    setMaxListeners(0, source);
    source.addEventListener("abort", abort, { once: true });
    return () => source.removeEventListener("abort", abort);
  });
  const end = () => joined.abort(late());
  const timer = withinMs === undefined ? undefined : setTimeout(end, Math.ceil(withinMs));
  return {
    signal: joined.signal,
    forget: () => {
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}

const timeIsOver = () => new DOMException("The time is over.", "TimeoutError");

/** Two signals of the same kind within this time are one wish. */
const ONE_WISH_MS = 500;

/**
 * Calls `first` when somebody asks the process to end, and `again` for each later time. A second signal of the same kind within half a second is
 * the same wish: a program that npm has started gets a Ctrl-C from the terminal and again from npm. SIGHUP says that the terminal has gone, so
 * that nobody is left to ask a second time; it counts as both. `source` is for tests.
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

/** Waits so many milliseconds, or until the signal is aborted, which is no error. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // The only possible error is that the signal was aborted.
  await delay(ms, undefined, { signal }).catch(() => {});
}
