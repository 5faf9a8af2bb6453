import type { RequestHandler } from "express";
import { rateLimit } from "express-rate-limit";
import type { Config } from "../config.ts";

/** The calls by which a worker gets, keeps and ends a lease. Work that was paid for must not be lost to a limit, so these have a budget of their own. */
const WORKER_CALLBACK =
  /^\/api\/runtime\/llm-tasks\/(claim|[^/]+\/(heartbeat|complete|release|output|input\/[^/]+))\/?$/i;
const TEST_CONNECTION = /^\/api\/runtime\/test-connection\/?$/i;

const pathOf = (request: { baseUrl: string; path: string }) => request.baseUrl + request.path;

/** Limits by client address and minute, each its own count in this process; 0 switches one off. */
export function rateLimits(limits: Config["limits"]): RequestHandler[] {
  return [
    limit(limits.requestsPerMinute, (path) => !WORKER_CALLBACK.test(path)),
    limit(limits.workerCallbacksPerMinute, (path) => WORKER_CALLBACK.test(path)),
    limit(limits.connectionTestsPerMinute, (path) => TEST_CONNECTION.test(path)),
  ].flat();
}

function limit(perMinute: number, applies: (path: string) => boolean): RequestHandler[] {
  if (perMinute === 0) return [];
  const limiter = rateLimit({
    windowMs: 60_000,
    limit: perMinute,
    standardHeaders: "draft-6",
    legacyHeaders: false,
    message: { error: "Too many requests, please try again later" },
    // Whether X-Forwarded-For counts is decided by TRUST_PROXY_HOPS; a client that sends it unasked is no fault of ours to report.
    validate: { xForwardedForHeader: false, forwardedHeader: false },
  });
  return [(request, response, next) => (applies(pathOf(request)) ? limiter(request, response, next) : next())];
}
