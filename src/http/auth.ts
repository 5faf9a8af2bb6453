import { createHash, timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler } from "express";
import { currentRequest } from "../context.ts";
import type { Db } from "../db/client.ts";
import { findKey } from "../settings/keys.ts";
import { requireRole } from "./roles.ts";
import type { WrongKeys } from "./wrong-keys.ts";

/** Calls that need no key: they say whether the service and Membridge are there, and nothing more. */
const OPEN_CALLS = new Set([
  "GET /api/runtime/health",
  "POST /api/runtime/test-connection",
  "GET /api/membridge/health",
]);

const digest = (text: string) => createHash("sha256").update(text).digest();
const pathOf = ({ baseUrl, path }: Request) => baseUrl + path;

/**
 * Lets a call through that carries `X-Runtime-API-Key` with `apiKey`, which may do everything, or with a named key whose role allows it
 * (else 403); else 401, and 429 after too many of those. Without an `apiKey`, everything is open to who shows no named key (development).
 */
export function requireKey(db: Db, apiKey: string | undefined, wrongKeys: WrongKeys): RequestHandler {
  const expected = apiKey === undefined ? undefined : digest(apiKey);
  return async (request, response, next) => {
    if (OPEN_CALLS.has(`${request.method} ${pathOf(request)}`.replace(/\/$/, ""))) return next();
    const given = request.get("x-runtime-api-key") ?? "";
    if (await wrongKeys.isBlocked(request, given)) return wrongKeys.refuse(response);
    // Digests have one length, so that the comparison takes the same time whatever was sent.
    const isMain = expected !== undefined && timingSafeEqual(digest(given), expected);
    const named = isMain ? undefined : await findKey(db, given);
    if (!isMain && !named && expected !== undefined) {
      await wrongKeys.count(request, given);
      response.status(401).json({ error: "Unauthorized" });
      return;
    }
    if (isMain || named) wrongKeys.prove(request, given);
    if (named) {
      const context = currentRequest();
      if (context) context.key = named;
      requireRole(named.role, request.method, pathOf(request));
    }
    next();
  };
}
