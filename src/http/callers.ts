import type { Response } from "express";
import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";

declare global {
  namespace Express {
    interface Locals {
      caller: Caller;
    }
  }
}

/** Who makes the request that this answers. */
export const callerOf = (response: Response): Caller => response.locals.caller;

/** Gives a route the database as its caller uses it: what is done with it is written down as that caller's. */
export type DbFor = (response: Response) => Db;

/** Handed from call to call: an AsyncLocalStorage that knew the caller took 8 to 10 % of the service's processor time on Node 20. */
export const forCallers =
  (db: Db): DbFor =>
  (response) =>
    db.for(callerOf(response));
