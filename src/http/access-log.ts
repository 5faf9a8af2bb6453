import type { RequestHandler } from "express";
import type { Logger } from "pino";
import { callerOf } from "./callers.ts";

/** One line for each request when it has ended: method, path (without the query), route, status, duration, who asked. */
export function accessLog(log: Logger): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    const path = request.baseUrl + request.path;
    const { requestId, client } = callerOf(response);
    response.on("close", () => {
      const durationMs = Math.round(performance.now() - started);
      const outcome = response.writableFinished ? "request" : "request was cut off by the client";
      const { keyName } = callerOf(response);
      const who = { client, ...(keyName !== undefined && { key: keyName }) };
      const { route } = response.locals;
      const what = { method: request.method, path, ...(route !== undefined && { route }) };
      log.info({ ...what, status: response.statusCode, durationMs, ...who, requestId }, outcome);
    });
    next();
  };
}
