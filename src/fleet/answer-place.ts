import { unlessAborted } from "../abort-signals.ts";
import { openPlaces, type Places } from "../places.ts";

/** The size in bytes above which an answer needs a place. */
export const SHORT_ANSWER_BYTES = 100 * 1024;
/**
 * Long answers that are in memory at a time. While an agent's answer of 20 MB is stored, its text is in memory about four times: 16 of them at once
 * ended a process with a heap of 512 MB.
 */
const MOST_LONG_ANSWERS = 2;
/** How long an answer waits for a place. Meanwhile its server cannot send on. */
const WAIT_MS = 120_000;
/** How long an answer that has a place may still take: 20 MB at 5 Mbit/s take 32 s. Otherwise a slow server would keep others from their places. */
export const FINISHED_WITHIN_MS = 60_000;

/** The places for the long answers of all agents that were dispatched to. */
export const openLongAnswers = (): Places =>
  openPlaces(
    MOST_LONG_ANSWERS,
    WAIT_MS,
    () => new Error(`other long answers were being read for ${WAIT_MS / 1_000} s`),
  );

/** The place of one answer in memory. */
export interface AnswerPlace {
  /** Takes a place when one is free. Rejects after 120 s without one, and with the reason of `signal` when that is aborted. */
  take(signal: AbortSignal): Promise<void>;
  /** Leaves the place, if it was taken; for when nothing of the answer is needed any more. */
  leave(): void;
}

/** Makes the place of one answer, which is taken once the answer is known to be long. */
export function placeForAnswer(longAnswers: Places): AnswerPlace {
  let leave = () => {};
  return {
    async take(signal) {
      const taking = longAnswers.take();
      try {
        leave = await unlessAborted(taking, signal);
      } catch (error) {
        // A place that comes too late is left to the next.
        taking.then(
          (late) => late(),
          () => {},
        );
        throw error;
      }
    },
    leave: () => leave(),
  };
}
