import type { Request, RequestHandler } from "express";
import { rateLimit } from "express-rate-limit";
import type { Config } from "../config.ts";
import { callerOf } from "./callers.ts";
import { clientNetworkOf } from "./client-address.ts";

/**
 * The calls that a worker needs for its work: to register, and to get, keep and end a lease. Work that was paid for must not be lost to a
 * limit, so these have a budget of their own.
 */
const WORKER_CALLS = [
  /^POST \/api\/runtime\/workers(\/[^/]+\/rest)?\/?$/i,
  /^POST \/api\/runtime\/llm-tasks\/(claim|[^/]+\/(lease|heartbeat|complete|release))\/?$/i,
  /^PUT \/api\/runtime\/llm-tasks\/[^/]+\/output\/?$/i,
  /^GET \/api\/runtime\/llm-tasks\/[^/]+\/input\/[^/]+\/?$/i,
];
const TEST_CONNECTION = /^POST \/api\/runtime\/test-connection\/?$/i;

const isWorkerCall = (call: string) => WORKER_CALLS.some((each) => each.test(call));

const callOf = ({ method, baseUrl, path }: Request) => `${method} ${baseUrl}${path}`;

/** Limits by client address and minute, each its own count in this process; 0 switches one off. */
export function rateLimits(limits: Config["limits"]): RequestHandler[] {
  return [
    limit(limits.requestsPerMinute, "RATE_LIMIT_PER_MINUTE", (call) => !isWorkerCall(call)),
    limit(limits.workerCallbacksPerMinute, "WORKER_CALLBACK_LIMIT_PER_MINUTE", isWorkerCall),
    limit(limits.connectionTestsPerMinute, "TEST_CONNECTION_LIMIT_PER_MINUTE", (call) => TEST_CONNECTION.test(call)),
  ].flat();
}

function limit(perMinute: number, setting: string, applies: (call: string) => boolean): RequestHandler[] {
  if (perMinute === 0) return [];
  const limiter = rateLimit({
    windowMs: 60_000,
    limit: perMinute,
    standardHeaders: "draft-6",
    legacyHeaders: false,
    keyGenerator: (_request, response) => clientNetworkOf(response.locals.caller.client),
    handler: (_request, response) => {
      const message = `${setting} allows ${perMinute} of these requests a minute for one address; this one counts for ${callerOf(response).client}.`;
      response.status(429).json({ error: "Too many requests, please try again later", message });
    },
    // Whether X-Forwarded-For counts is decided by TRUST_PROXY_HOPS; a client that sends it unasked is no fault of ours to report.
    validate: { xForwardedForHeader: false, forwardedHeader: false },
  });
  return [(request, response, next) => (applies(callOf(request)) ? limiter(request, response, next) : next())];
}
