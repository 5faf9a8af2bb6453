import { joinSignals } from "../signals.ts";

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
