import type { Verdict } from "./execute.ts";

const FIRST_REST_SECONDS = 5;
const LONGEST_REST_SECONDS = 300;
/** A task that could not be run here this many times counts as failed, since it would otherwise come back for ever. */
const MOST_HAND_BACKS = 3;

/** What follows from the last execution: nothing, a rest, or the end of the worker. */
export interface Advice {
  /** Take no work for `seconds`. */
  rest?: { seconds: number; reason: string };
  /** Take no more work; the sentence says why. */
  broken?: string;
}

export interface Fitness {
  /** True when the task was released here MOST_HAND_BACKS times: the next time it counts as failed. */
  isHopeless(taskId: string): boolean;
  judge(taskId: string, verdict: Verdict): Advice;
}

/**
 * Judges by its executions whether this machine is fit to work. From the second quick failure in a row on, and when a command could not be run,
 * the worker rests: 5 s, and twice as long each time, up to 5 minutes. A command that never ran here, or that `commandFault` does not find any
 * more, ends the worker.
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
