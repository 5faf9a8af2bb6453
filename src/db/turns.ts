/** Runs `work` when it is its turn. Rejects with what `work` throws, or when its turn does not come in time. */
export type Turns = <Done>(work: () => Promise<Done> | Done) => Promise<Done>;

/** Turns of which `most` are taken at a time. A turn that does not come within `withinMs` milliseconds is refused with the error `overdue`. */
export function openTurns(most: number, withinMs: number, overdue: () => Error): Turns {
  let running = 0;
  const waiting: (() => void)[] = [];
  const turn = () =>
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
    else await turn();
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
