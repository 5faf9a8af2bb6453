import { isDatabaseUnavailable } from "../db/faults.ts";
import { Unavailable } from "../errors.ts";

/** True where the same request may succeed later: the database met a fault, or there was no room for the request. */
export const maySucceedLater = (error: unknown): boolean =>
  error instanceof Unavailable || isDatabaseUnavailable(error);
