import { isDatabaseUnavailable } from "../db/faults.ts";
import { Unavailable } from "../errors.ts";

/** True where the same request may succeed when it is sent again: the service had no place for it then, or the database met a fault. */
export const isWorthSendingAgain = (error: unknown): boolean =>
  error instanceof Unavailable || isDatabaseUnavailable(error);
