import type { WorkerSnapshot } from "./changed-workers.ts";
import type { LineMember, Seeker, WaitingLine } from "./waiting-line.ts";

/** The outcome of a claim that got nothing. */
export interface EmptyClaim extends WorkerSnapshot {
  /** There were tasks for the worker, but others had locked them. */
  isPassedOver: boolean;
}

/** Claims for a worker. Gives undefined when the worker has got something, or does not wait any more. */
export type Attempt = () => Promise<EmptyClaim | undefined>;

/** A worker that waits in the line, with what the waiters' looks may do with it (claim-waiters.ts). */
export interface Waiter extends LineMember {
  /** The worker claims at the next look, even where nothing is new. */
  isDue: boolean;
  /** Claims. Resolves to true when the waiter does not wait any more. */
  attempt(): Promise<boolean>;
  leave(): void;
}

/**
 * Puts into the line a worker whose claim has just got nothing. Resolves when a later attempt gives undefined, when `signal` is aborted, or when the
 * waiter was told to leave. An attempt that is running then goes on to its end first, since it may get tasks. Throws what `attempt` throws.
 */
export function waitInLine(
  line: WaitingLine<Waiter>,
  seeker: Seeker,
  { isPassedOver, ...snapshot }: EmptyClaim,
  signal: AbortSignal,
  attempt: Attempt,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let isTrying = false;
    let isLeaving = false;
    const end = (settle: () => void) => {
      line.remove(waiter);
      signal.removeEventListener("abort", waiter.leave);
      settle();
    };
    const waiter: Waiter = {
      ...seeker,
      snapshot,
      isDue: isPassedOver,
      attempt: async () => {
        if (!line.has(waiter)) return true;
        isTrying = true;
        try {
          const missed = await attempt();
          if (!missed || isLeaving) end(resolve);
          else {
            line.updateWorker(waiter, missed);
            waiter.isDue = missed.isPassedOver;
          }
        } catch (error) {
          end(() => reject(error));
        }
        isTrying = false;
        return !line.has(waiter);
      },
      leave: () => {
        isLeaving = true;
        if (!isTrying) end(resolve);
      },
    };
    signal.addEventListener("abort", waiter.leave);
    line.add(waiter);
  });
}
