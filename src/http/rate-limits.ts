import type { RequestHandler } from "express";
import { rateLimit } from "express-rate-limit";
import type { Config } from "../config.ts";
import { callerOf } from "./caller-of.ts";
import { clientNetworkOf } from "./client-address.ts";
import { type MakeHitStore, WINDOW_MS } from "./rate-limit-store.ts";
import type { Limit } from "./route.ts";

/**
 * Limits by client address and minute, each with a count of its own in a store that `makeStore` makes; 0 switches a limit off. What a
 * worker needs for its work (to register, and to get, keep and end a lease) has a limit of its own, so that work that was paid for is not
 * lost to the general one.
 */
export function createRateLimits(
  limits: Config["limits"],
  makeStore: MakeHitStore,
): (limit: Limit) => RequestHandler[] {
  const requests = limiter(limits.requestsPerMinute, "RATE_LIMIT_PER_MINUTE", makeStore);
  const workerCalls = limiter(limits.workerCallbacksPerMinute, "WORKER_CALLBACK_LIMIT_PER_MINUTE", makeStore);
  const tests = limiter(limits.connectionTestsPerMinute, "TEST_CONNECTION_LIMIT_PER_MINUTE", makeStore);
  const handlers = { requests, "worker calls": workerCalls, "connection tests": [...requests, ...tests], none: [] };
  return (limit) => handlers[limit];
}

function limiter(perMinute: number, setting: string, makeStore: MakeHitStore): RequestHandler[] {
  if (perMinute === 0) return [];
  const handler = rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    store: makeStore(setting),
    standardHeaders: "draft-6",
    legacyHeaders: false,
    keyGenerator: (_request, response) => clientNetworkOf(response.locals.caller.client),
    handler: (_request, response) => {
      const message = `${setting} allows ${perMinute} of these requests a minute for one address; this one counts for ${callerOf(response).client}.`;
      response.status(429).json({ error: "Too many requests, please try again later", message });
    },
    // TRUST_PROXY_HOPS decides whether X-Forwarded-For counts. A client may send that header at any time, which is nothing to warn of.
    // `creationStack` looks at a stack trace, for which Node.js reads the source map of every file: 70 ms of each start.
    validate: { xForwardedForHeader: false, forwardedHeader: false, creationStack: false },
  });
  return [handler];
}
