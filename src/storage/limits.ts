/** `work`, or the signal's reason as soon as that is aborted; `work` itself goes on, for those who wait for it too. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/**
 * Runs `work` with a signal that is aborted with `late()` after `ms` milliseconds, and with the reason of `stop` when that is aborted. Not
 * AbortSignal.any, whose signals are kept for as long as one of their sources lives.
 */
export async function within<T>(
  ms: number,
  late: () => Error,
  stop: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  stop?.throwIfAborted();
  const ending = new AbortController();
  const end = () => ending.abort(stop?.reason);
  const timer = setTimeout(() => ending.abort(late()), ms);
  stop?.addEventListener("abort", end, { once: true });
  try {
    return await work(ending.signal);
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener("abort", end);
  }
}
