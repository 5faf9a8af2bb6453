/** Numbers that look random and are the same for the same seed, so that a run's faults can be drawn again. */
export interface Random {
  /** From 0 up to, but not including, 1. */
  next(): number;
  between(low: number, high: number): number;
  pick<T>(all: readonly T[]): T;
  chance(probability: number): boolean;
}

/** The generator called mulberry32. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    between: (low, high) => low + Math.floor(next() * (high - low)),
    pick: (all) => {
      const one = all[Math.floor(next() * all.length)];
      if (one === undefined) throw new Error("There is nothing to pick from.");
      return one;
    },
    chance: (probability) => next() < probability,
  };
}
