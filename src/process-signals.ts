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
