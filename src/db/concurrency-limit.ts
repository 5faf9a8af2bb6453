/** Runs `work` as soon as the limit allows it. Rejects with what `work` throws, or when the limit has not allowed it in time. */
export type Limited = <Done>(work: () => Promise<Done> | Done) => Promise<Done>;

/** Gives a function that runs `most` works at a time. One that has not begun within `withinMs` milliseconds is refused with the error `overdue`. */
export function limitConcurrency(most: number, withinMs: number, overdue: () => Error): Limited {
  let running = 0;
  const waiting: (() => void)[] = [];
  const waitForOther = () =>
    new Promise<void>((resolve, reject) => {
      const take = () => {
        clearTimeout(late);
        resolve();
      };
      const late = setTimeout(() => {
        waiting.splice(waiting.indexOf(take), 1);
        reject(overdue());
      }, withinMs);
      waiting.push(take);
    });
  return async (work) => {
    if (running < most) running += 1;
    else await waitForOther();
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
