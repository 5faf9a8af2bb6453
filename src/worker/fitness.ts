import type { Verdict } from "./execute.ts";

const FIRST_REST_SECONDS = 5;
const LONGEST_REST_SECONDS = 300;
/** A task that could not be run here so often is at fault itself: else it would go round for ever. */
const MOST_HAND_BACKS = 3;

/** What is to come of the last execution: nothing, a rest, or the end of the worker. */
export interface Advice {
  /** Take no work for so long. */
  rest?: { seconds: number; reason: string };
  /** Take no work any more; the sentence says why. */
  broken?: string;
}

export interface Fitness {
  /** True when the task was handed back so often that it has failed by itself. */
  isHopeless(taskId: string): boolean;
  judge(taskId: string, verdict: Verdict): Advice;
}

/**
 * Remembers how the tasks of this worker went. A second failure in a row that came fast, and whatever could not be run here, is worth a
 * rest, of 5 s and twice as long each time up to 5 minutes. A command that never ran here, or that `commandFault` finds gone, ends the worker.
 */
export function createFitness(commandFault: () => string | undefined): Fitness {
  const handedBack = new Map<string, number>();
  let [failures, troubles, ranWell] = [0, 0, false];
  return {
    isHopeless: (taskId) => (handedBack.get(taskId) ?? 0) >= MOST_HAND_BACKS,
    judge: (taskId, verdict) => {
      if (verdict.kind === "stopped") return {};
      if (verdict.kind === "unfit") {
        const { reason, isCommand } = verdict;
        handedBack.set(taskId, (handedBack.get(taskId) ?? 0) + 1);
        if (isCommand && (!ranWell || commandFault() !== undefined)) return { broken: reason };
        return { rest: { seconds: restSeconds(++troubles), reason } };
      }
      handedBack.delete(taskId);
      [ranWell, troubles] = [true, 0];
      failures = verdict.failedFast ? failures + 1 : 0;
      if (failures < 2) return {};
      return { rest: { seconds: restSeconds(failures - 1), reason: `its command failed ${failures} times in a row` } };
    },
  };
}

function restSeconds(times: number): number {
  return Math.min(FIRST_REST_SECONDS * 2 ** (times - 1), LONGEST_REST_SECONDS);
}
