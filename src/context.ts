/** What is known of the request that is being answered, wherever its work leads: for log lines and audit entries. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Role } from "./db/values.ts";

export interface RequestContext {
  requestId: string;
  /** The named key that the caller has shown. */
  key?: { name: string; role: Role };
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work`, and all that comes of it, as part of this request. */
export function inRequest<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** The request that is being answered; undefined in loops. */
export function currentRequest(): RequestContext | undefined {
  return storage.getStore();
}

/** Runs what goes on after the request on its own account. */
export function outsideRequest<T>(work: () => T): T {
  return storage.exit(work);
}
