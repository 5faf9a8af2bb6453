import type { ErrorRequestHandler, Request, RequestHandler } from "express";
import type { Logger } from "pino";
import { faultOf } from "../db/faults.ts";
import { Refusal } from "../errors.ts";
import { callerOf } from "./caller-of.ts";
import { SHORT_BODY_BYTES } from "./json-body.ts";
import { InvalidBody, InvalidValue } from "./parse-request.ts";

/** How many seconds after a 503 the request may be sent again, where nothing better is known. */
export const RETRY_AFTER_SECONDS = 2;

/** The last route: every other path is a 404 in JSON. */
export const notFound: RequestHandler = (request, response) => {
  response.status(404).json({ error: nothingAt(request) });
};

/** The sentence for an address that has nothing. */
export function nothingAt({ method, path }: Request): string {
  const hint = path.startsWith("/api/") ? "" : ". The calls are below /api/runtime; /docs lists them.";
  return `Nothing is served at ${method} ${path}${hint}`;
}

/** The one place where an error becomes an answer. An error of no known kind is logged whole, and answered without its details. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const { requestId } = callerOf(response);
    const fault = faultOf(error);
    if (response.headersSent) {
      // The status was sent already. The client sees by the cut connection that the answer is not whole.
      const gone = request.socket.destroyed;
      log[gone ? "debug" : "warn"]({ err: error, path: request.path, requestId }, "an answer was sent in part");
      response.destroy();
    } else if (error instanceof Refusal) {
      const seconds = error.retryAfterSeconds ?? (error.status === 503 ? RETRY_AFTER_SECONDS : undefined);
      if (seconds !== undefined) response.set("Retry-After", String(seconds));
      response.status(error.status).json({ error: error.message });
    } else if (error instanceof InvalidBody) {
      response.status(400).json({ error: error.problems });
    } else if (error instanceof InvalidValue) {
      response.status(400).json({ error: error.message });
    } else if (fault) {
      log.warn({ err: error, path: request.path, requestId }, "the database cannot do what a request needs");
      if (fault.status === 503) response.set("Retry-After", String(RETRY_AFTER_SECONDS));
      response.status(fault.status).json({ error: fault.sentence });
    } else if (isClientFault(error)) {
      const message = sentenceFor(error);
      response.status(error.status).json({ error: message, message });
    } else {
      log.error({ err: error, method: request.method, path: request.path, requestId }, "request failed");
      const message = "Something went wrong in BLOOM Runtime; its log says what.";
      response.status(500).json({ error: "Internal server error", message });
    }
  };
}

/** What Express and its body parser throw when the request itself is at fault. */
interface ClientFault {
  status: number;
  type?: string;
  /** The largest body that the call takes, in bytes. */
  limit?: number;
}

function isClientFault(error: unknown): error is ClientFault {
  const status = typeof error === "object" && error !== null && "status" in error ? error.status : undefined;
  return typeof status === "number" && status >= 400 && status < 500;
}

function sentenceFor({ status, type, limit = 0 }: ClientFault): string {
  if (type === "entity.parse.failed") return "The body is not valid JSON, or no object.";
  if (status === 413 && limit <= SHORT_BODY_BYTES) return "The body is too large: this call takes 100 KB at most.";
  if (status === 413) return "The body is too large; MAX_BODY_MB sets the limit.";
  if (status === 415) return "The body must be JSON in UTF-8: send Content-Type: application/json.";
  return "The request could not be read: its path or its body is malformed.";
}
