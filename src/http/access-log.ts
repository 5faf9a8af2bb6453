import type { RequestHandler } from "express";
import type { Logger } from "pino";
import type { Meters } from "../metrics/service-meters.ts";
import { parseTraceparent } from "../tracing/trace-context.ts";
import { callerOf } from "./caller-of.ts";

/** How the metrics count a request whose client went away before its answer had ended, as nginx writes it. */
const CUT_OFF = "499";

/**
 * Writes one line for each request when it has ended, and counts it: method, path (without the query), route, status, duration, who asked.
 */
export function accessLog(log: Logger, meters: Meters): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    const path = request.baseUrl + request.path;
    const { requestId, client } = callerOf(response);
    response.on("close", () => {
      const ms = performance.now() - started;
      const outcome = response.writableFinished ? "request" : "request was cut off by the client";
      const { keyName, traceparent } = callerOf(response);
      const { route, tool } = response.locals;
      const status = response.writableFinished ? String(response.statusCode) : CUT_OFF;
      meters.httpRequests.add(1, { route: route ?? "none", status });
      meters.httpDuration.observe(ms / 1_000, { route: route ?? "none" });
      // What is undefined has no place in the line.
      log.info(
        {
          method: request.method,
          path,
          route,
          tool,
          status: response.statusCode,
          durationMs: Math.round(ms),
          client,
          key: keyName,
          requestId,
          traceId: traceparent && parseTraceparent(traceparent)?.traceId,
        },
        outcome,
      );
    });
    next();
  };
}
