import type { Logger } from "pino";

/** How often a result that still waits is logged again. */
const AGAIN_AFTER_MS = 600_000;

/** Logs that one finished result waits to be handed in. */
export interface WaitingResult {
  /** An attempt came to nothing, for this reason. It is logged at the first one, when `status` is another than before, and every 10 minutes. */
  waits(status: number, reason: string): void;
  /** The result was taken, or was given up. */
  isOver(): void;
}

/** A worker that is asked to end stays while a result waits, and logs that once more. */
export function logWaitingResult(log: Logger, taskId: string, draining: AbortSignal): WaitingResult {
  let [saidAt, saidStatus, waiting] = [0, -1, ""];
  const onDraining = () => {
    if (waiting) log.warn(`${waiting}. It is offered for an hour; a second signal gives it up`);
  };
  draining.addEventListener("abort", onDraining, { once: true });
  return {
    waits: (status, reason) => {
      waiting = `a finished result of task ${taskId} waits to be handed in: ${status ? `${status} ` : ""}${reason}`;
      if (status === saidStatus && performance.now() - saidAt < AGAIN_AFTER_MS) return;
      [saidAt, saidStatus] = [performance.now(), status];
      log.warn(waiting);
    },
    isOver: () => draining.removeEventListener("abort", onDraining),
  };
}
