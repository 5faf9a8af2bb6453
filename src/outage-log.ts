import type { Logger } from "pino";
import { messageOf } from "./errors.ts";

/** Logs the faults of something that is tried again and again: the first of a row, and that it works again, but not each of them. */
export interface OutageLog {
  failed(error: unknown): void;
  worked(): void;
}

/** `what` names what is tried, as in "a look for new events". */
export function createOutageLog(log: Logger, what: string): OutageLog {
  let isFailing = false;
  return {
    failed(error) {
      if (!isFailing) log.warn({ reason: messageOf(error) }, `${what} failed; it is tried again`);
      isFailing = true;
    },
    worked() {
      if (isFailing) log.info(`${what} works again`);
      isFailing = false;
    },
  };
}
