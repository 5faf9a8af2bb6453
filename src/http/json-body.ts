import express, { type RequestHandler } from "express";

/** Reads a JSON body of at most `limitBytes`. A body of another type is refused (415) instead of being taken for an absent one. */
export function jsonBody(limitBytes: number): RequestHandler[] {
  const refuseOtherTypes: RequestHandler = (request, _response, next) => {
    const hasBody =
      request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
    if (hasBody && !request.is("application/json")) next({ status: 415 });
    else next();
  };
  return [refuseOtherTypes, express.json({ limit: limitBytes, type: "application/json" })];
}
