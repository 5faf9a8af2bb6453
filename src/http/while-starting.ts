import type { RequestHandler } from "express";
import { RUNTIME_HEADER } from "./runtime-header.ts";

const RETRY_AFTER_SECONDS = 2;
const STARTING = "BLOOM Runtime is starting: it connects to its database and brings that up to date. Try again.";

/** Whether the start is over. */
export interface Startup {
  isOver: boolean;
}

/**
 * Answers for the service while it starts, which takes minutes when it adopts a large database: it is alive (`/livez`), and everything else is
 * answered 503.
 */
export function whileStarting(startup: Startup): RequestHandler {
  return (request, response, next) => {
    if (startup.isOver) return next();
    response.set(RUNTIME_HEADER);
    if (request.path === "/livez") response.json({ status: "alive" });
    else
      response
        .status(503)
        .set("Retry-After", String(RETRY_AFTER_SECONDS))
        .json({ ...(request.path === "/readyz" && { status: "not ready" }), error: STARTING });
  };
}
