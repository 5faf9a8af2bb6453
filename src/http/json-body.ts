import type { IncomingHttpHeaders } from "node:http";
import express, { type NextFunction, type Request, type Response } from "express";
import { excessIn } from "../bounded-json.ts";
import { Refusal } from "../errors.ts";
import type { BodyBudget } from "./body-budget.ts";
import { InvalidValue } from "./parse-request.ts";

/** The longest body of a call that carries no prompt and no output. */
export const SHORT_BODY_BYTES = 100 * 1024;
const JSON_TYPE = "application/json";

/** 415: JSON is UTF-8 (RFC 8259), and `excessIn` reads it as UTF-8. */
class UnsupportedCharset extends Refusal {
  readonly status = 415;
}

export interface BodyLimits {
  maxBytes: number;
  /** The memory for bodies of more than 100 KB, which wait for it. */
  budget?: BodyBudget;
}

/** A handler for a route with any parameters. */
export type BodyReader = <Params>(request: Request<Params>, response: Response, next: NextFunction) => void;

/**
 * Reads a JSON body for the route that it stands before. Too many bytes are 413, another type 415 (instead of being taken for no body), too
 * much nesting and too many keys or values 400, and 503 where the budget has no memory. No body leaves `request.body` undefined.
 */
export function jsonBody({ maxBytes, budget }: BodyLimits): BodyReader {
  const read = express.json({
    limit: maxBytes,
    type: () => true,
    verify: (_request, _response, bytes, charset) => {
      if (charset !== "utf-8") throw new UnsupportedCharset("The body must be JSON in UTF-8.");
      const excess = excessIn(bytes);
      if (excess !== undefined) throw new InvalidValue(`The body ${excess}.`);
    },
  });
  return (request, response, next) => {
    // The body of a GET means nothing (RFC 9110), and its answer does not wait for one.
    if (request.method === "GET" || request.method === "HEAD") return next();
    // A body without JSON was read before (form-or-text-body.ts).
    if (request.body !== undefined || !hasBody(request)) return next();
    if (request.headers["content-type"] !== JSON_TYPE && !request.is(JSON_TYPE)) return next({ status: 415 });
    const memory = reserveBody({ maxBytes, ...(budget && { budget }) }, request, response);
    if (!memory) return read(request, response, next);
    memory.then(() => read(request, response, next), next);
  };
}

const hasBody = ({ headers }: { headers: IncomingHttpHeaders }) =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"]) > 0;

/** Takes memory for a long body from the budget, and resolves when there is some. Undefined: the body needs none. Rejects as `BodyBudget.reserve`. */
export function reserveBody(
  { maxBytes, budget }: BodyLimits,
  { headers }: { headers: IncomingHttpHeaders },
  response: Response,
): Promise<void> | undefined {
  // The length of a packed or chunked body is not known before its end. A body that is too long is not kept, and needs no memory.
  const isKnown = headers["transfer-encoding"] === undefined && headers["content-encoding"] === undefined;
  const bytes = isKnown ? Number(headers["content-length"] ?? 0) : maxBytes;
  return !budget || bytes <= SHORT_BODY_BYTES || bytes > maxBytes ? undefined : budget.reserve(bytes, response);
}

/** The reader for every call that carries no prompt and no output. */
export const shortBody = jsonBody({ maxBytes: SHORT_BODY_BYTES });
