import { setTimeout as delay } from "node:timers/promises";
import type { Request, RequestHandler, Response } from "express";
import { OWN_ANSWER_HEADER } from "./own-answer-header.ts";

/** Most starts take a second. A request that comes meanwhile waits for its answer, and hears of the start only when that takes this long. */
const WAIT_MS = 20_000;
const RETRY_AFTER_SECONDS = 2;
const STARTING = "BLOOM Runtime is starting: it connects to its database and brings that up to date. Try again.";

export interface Startup {
  /** Stands before all other handlers. */
  handler: RequestHandler;
  /** Lets the requests go on that have waited, and all later ones. */
  succeed(): void;
  /** Answers 503 to the requests that have waited. */
  fail(): void;
}

/**
 * Serves while the service starts, which takes minutes when it adopts a large database: it is alive (`/livez`) and not ready (`/readyz`). Every
 * other request waits for the end of the start, or is answered 503 once the start has taken `waitMs`.
 */
export function createStartup(waitMs = WAIT_MS): Startup {
  let hasStarted = false;
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const waited = Promise.race([ended, delay(waitMs, undefined, { ref: false })]);

  async function serve(request: Request, response: Response, goOn: () => void): Promise<void> {
    response.set(OWN_ANSWER_HEADER);
    if (request.path === "/livez") {
      response.json({ status: "alive" });
      return;
    }
    const asksForReady = request.path === "/readyz";
    if (!asksForReady) await waited;
    // The client has gone away: nothing is done for it, since it would never hear the answer.
    if (response.closed) return;
    if (hasStarted) return goOn();
    response
      .status(503)
      .set("Retry-After", String(RETRY_AFTER_SECONDS))
      .json({ ...(asksForReady && { status: "not ready" }), error: STARTING });
  }

  return {
    handler: (request, response, next) => (hasStarted ? next() : void serve(request, response, next)),
    succeed: () => {
      hasStarted = true;
      end();
    },
    fail: () => end(),
  };
}
