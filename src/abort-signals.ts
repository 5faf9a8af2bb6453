/** Work and waits that end early when a signal is aborted. */
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

/** Resolves as `work` does, or rejects with the signal's reason as soon as that is aborted. `work` goes on then, since others may wait for it too. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Runs `work` with a signal that is aborted with `late()` after `ms` milliseconds, and with the reason of `stop` when that is aborted. */
export async function withDeadline<T>(
  ms: number,
  late: () => Error,
  stop: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  stop?.throwIfAborted();
  const { signal, forget } = joinSignals(stop ? [stop] : [], ms, late);
  try {
    return await work(signal);
  } finally {
    forget();
  }
}

/** Waits `ms` milliseconds, or until the signal is aborted, which is no error. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // The only possible error is that the signal was aborted.
  await delay(ms, undefined, { signal }).catch(() => {});
}
