import type { Response } from "express";
import type { Caller } from "../caller.ts";

declare global {
  namespace Express {
    interface Locals {
      caller: Caller;
    }
  }
}

/** Who makes the request that this answers. */
export const callerOf = (response: Response): Caller => response.locals.caller;
