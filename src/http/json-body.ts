import express, { type RequestHandler } from "express";
import { InvalidValue } from "./input.ts";

/** More than any client sends, and far less than the 7,000 or so at which walking a value by recursion ends in a stack overflow. */
const DEEPEST = 100;
const JSON_TYPE = "application/json";

/**
 * Reads a JSON body of at most `limitBytes`. A body of another type is refused (415) instead of being taken for an absent one, and one
 * that is nested without end as well (400).
 */
export function jsonBody(limitBytes: number): RequestHandler {
  const read = express.json({ limit: limitBytes, type: () => true });
  return (request, response, next) => {
    const { "transfer-encoding": chunked, "content-length": length } = request.headers;
    if (chunked === undefined && !(Number(length) > 0)) return next();
    if (request.headers["content-type"] !== JSON_TYPE && !request.is(JSON_TYPE)) return next({ status: 415 });
    read(request, response, (error?: unknown) => {
      if (error) next(error);
      else if (isDeeperThan(DEEPEST, request.body))
        next(new InvalidValue(`The body is nested deeper than ${DEEPEST} levels.`));
      else next();
    });
  };
}

function isDeeperThan(limit: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return limit === 0 || Object.values(value).some((inner) => isDeeperThan(limit - 1, inner));
}
