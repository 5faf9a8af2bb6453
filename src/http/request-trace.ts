import type { RequestHandler, Response } from "express";
import type { Task } from "../contract/record-types.ts";
import { parseTraceparent, spanIdOfLease, type TraceContext, traceparentOf } from "../tracing/trace-context.ts";
import { SPAN_KIND, type Tracer } from "../tracing/tracer.ts";
import { callerOf } from "./caller-of.ts";

declare global {
  namespace Express {
    interface Locals {
      /** The span of the request, where the service traces. */
      span?: TraceContext & { parentSpanId: string | undefined };
    }
  }
}

/** Requests that would fill a collector with empty spans: probes, and answers without a body, such as that of a claim that gets no task. */
const isNoise = (response: Response) => response.locals.isProbe || response.statusCode === 204;

/**
 * Reads the header `traceparent` (W3C Trace Context); a malformed one is ignored, as the specification says. With a tracer, the request becomes a
 * span within it, or the first of a new trace, and what the request makes belongs to that span. A probe or an empty claim begins no trace.
 */
export function traceRequests(tracer: Tracer | undefined): RequestHandler {
  return (request, response, next) => {
    const received = parseTraceparent(request.get("traceparent"));
    const caller = callerOf(response);
    if (!tracer) {
      if (received) caller.traceparent = traceparentOf(received);
      return next();
    }
    const span = { ...tracer.begin(received), parentSpanId: received?.spanId };
    response.locals.span = span;
    caller.traceparent = traceparentOf(span);
    const startMs = Date.now();
    const path = request.baseUrl + request.path;
    response.on("close", () => {
      const { route = "none", tool } = response.locals;
      const { statusCode: status, writableFinished: isWhole } = response;
      if (!received && isNoise(response)) return;
      tracer.record({
        ...span,
        name: route,
        kind: SPAN_KIND.server,
        startMs,
        endMs: Date.now(),
        attributes: {
          "http.request.method": request.method,
          "http.response.status_code": status,
          "url.path": path,
          "bloom.request": caller.requestId,
          "bloom.tool": tool,
          "bloom.cut_off": isWhole ? undefined : true,
        },
        fault: status >= 500 ? `The answer was ${status}.` : undefined,
      });
    });
    next();
  };
}

/** Lets the request's span belong to the work on `task` under the lease. A request that came with a trace of its own stays in that. */
export function continueTrace(
  response: Response,
  { traceparent }: Pick<Task, "traceparent">,
  leaseId: string | null,
): void {
  const { span } = response.locals;
  const work = parseTraceparent(traceparent);
  if (!span || !work || leaseId === null || span.parentSpanId !== undefined) return;
  const { traceId, isSampled } = work;
  Object.assign(span, { traceId, isSampled, parentSpanId: spanIdOfLease(leaseId) });
  callerOf(response).traceparent = traceparentOf(span);
}
