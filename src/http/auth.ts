import { createHash, timingSafeEqual } from "node:crypto";
import type { RequestHandler } from "express";

/** Calls that need no key: they say whether the service and Membridge are there, and nothing more. */
const OPEN_CALLS = new Set([
  "GET /api/runtime/health",
  "POST /api/runtime/test-connection",
  "GET /api/membridge/health",
]);

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Lets a call through that carries `X-Runtime-API-Key: <apiKey>`, else 401. Without an `apiKey`, everything is open (development). */
export function requireKey(apiKey: string | undefined): RequestHandler {
  if (apiKey === undefined) return (_request, _response, next) => next();
  const expected = digest(apiKey);
  return (request, response, next) => {
    const call = `${request.method} ${request.baseUrl}${request.path}`.replace(/\/$/, "");
    // Digests have one length, so that the comparison takes the same time whatever was sent.
    if (OPEN_CALLS.has(call) || timingSafeEqual(digest(request.get("x-runtime-api-key") ?? ""), expected)) next();
    else response.status(401).json({ error: "Unauthorized" });
  };
}
