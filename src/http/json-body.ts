import express, { type RequestHandler } from "express";
import { InvalidValue } from "./input.ts";

/** More than any client sends, and far less than the 7,000 or so at which walking a value by recursion ends in a stack overflow. */
const DEEPEST = 100;

/**
 * Reads a JSON body of at most `limitBytes`. A body of another type is refused (415) instead of being taken for an absent one, and one
 * that is nested without end as well (400).
 */
export function jsonBody(limitBytes: number): RequestHandler[] {
  const refuseOtherTypes: RequestHandler = (request, _response, next) => {
    const hasBody =
      request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
    if (hasBody && !request.is("application/json")) next({ status: 415 });
    else next();
  };
  const refuseDeepOnes: RequestHandler = (request, _response, next) => {
    if (isDeeperThan(DEEPEST, request.body))
      throw new InvalidValue(`The body is nested deeper than ${DEEPEST} levels.`);
    next();
  };
  return [refuseOtherTypes, express.json({ limit: limitBytes, type: "application/json" }), refuseDeepOnes];
}

function isDeeperThan(limit: number, value: unknown): boolean {
  const isNested = (one: unknown) => typeof one === "object" && one !== null;
  let level = [value].filter(isNested);
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === limit) return true;
    level = level.flatMap((one) => Object.values(one as object)).filter(isNested);
  }
  return false;
}
