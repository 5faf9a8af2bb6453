import { timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import type { Config } from "../config.ts";
import type { Db } from "../db/client.ts";
import type { Role } from "../db/roles.ts";
import { Forbidden } from "../errors.ts";
import { findKeyAndRecordUse } from "../saved-config/named-keys.ts";
import { callerOf } from "./caller-of.ts";
import type { Access, OwnKey } from "./route.ts";
import type { UnkeyedConnections } from "./unkeyed-connections.ts";
import type { WrongKeys } from "./wrong-keys.ts";

const KEY_HEADER = "X-Runtime-API-Key";
const NO_KEY = `This call needs a key in the header ${KEY_HEADER}.`;
export const WRONG_KEY = `The key in the header ${KEY_HEADER} is not valid, or has been revoked.`;

/** 401, with the sentence that says what is wrong. */
export function refuseKey(response: Response, message: string): void {
  response.set("WWW-Authenticate", `ApiKey realm="BLOOM Runtime", header="${KEY_HEADER}"`);
  response.status(401).json({ error: "Unauthorized", message });
}

/** Says whether a text is the key. How long that takes tells neither how much of the text is right nor the length of the key. */
export function createKeyCheck(key: string): (given: string) => boolean {
  const expected = Buffer.from(key);
  return (text) => {
    const given = Buffer.from(text);
    const isAsLong = given.length === expected.length;
    return timingSafeEqual(isAsLong ? given : expected, expected) && isAsLong;
  };
}

/**
 * Gives the check of the header `X-Runtime-API-Key` for calls with this access. `apiKey` and `apiKeyPrevious` may make every call, a named key the
 * calls that its role allows (else 403); the setting `ownKey` opens its one call. Without a valid key the answer is 401, and 429 after too many wrong
 * keys. Where no `apiKey` is set, callers without a named key may make every call.
 */
export function createKeyGuard(
  db: Db,
  { apiKey, apiKeyPrevious, metricsKey }: Pick<Config, "apiKey" | "apiKeyPrevious" | "metricsKey">,
  wrongKeys: WrongKeys,
  connections: UnkeyedConnections,
): (access: Access, ownKey?: OwnKey) => RequestHandler {
  const isMainKey = apiKey === undefined ? undefined : createKeyCheck(apiKey);
  const isPreviousKey = apiKeyPrevious === undefined ? undefined : createKeyCheck(apiKeyPrevious);
  const isMetricsKey = metricsKey === undefined ? undefined : createKeyCheck(metricsKey);
  const nameOfMain = (given: string, ownKey: OwnKey | undefined) => {
    if (isMainKey?.(given)) return "RUNTIME_API_KEY";
    if (ownKey && isMetricsKey?.(given)) return ownKey;
    return isPreviousKey?.(given) ? "RUNTIME_API_KEY_PREVIOUS" : undefined;
  };
  const lookUp = (request: Request, key: string) =>
    findKeyAndRecordUse(db, key).catch(async (error) => {
      await wrongKeys.drop(request, key);
      throw error;
    });
  return (access, ownKey) => async (request, response, next) => {
    const given = request.get(KEY_HEADER) ?? (ownKey && bearerIn(request)) ?? "";
    const caller = callerOf(response);
    caller.keyName = nameOfMain(given, ownKey);
    const isMain = caller.keyName !== undefined;
    if (isMain && wrongKeys.isProven(request, given)) return next();
    if (access === "anybody") return next();
    if (!(await wrongKeys.admit(request, given))) return wrongKeys.refuse(response);
    const named = isMain ? undefined : await lookUp(request, given);
    if (!isMain && !named && isMainKey) {
      await wrongKeys.refute(request, given);
      return refuseKey(response, given === "" ? NO_KEY : WRONG_KEY);
    }
    if (isMain || named) {
      connections.prove(request.socket);
      await wrongKeys.prove(request, given);
    } else await wrongKeys.drop(request, given);
    if (named) {
      caller.key = named;
      caller.keyName = named.name;
      requireRole(named.role, access);
    }
    next();
  };
}

/** The bearer token, which is what Prometheus sends. */
const bearerIn = (request: Request) => /^Bearer +(.+)$/i.exec(request.get("authorization") ?? "")?.[1];

/** Forbidden: a key of this role may not make a call with this access. */
export function requireRole(role: Role, access: Exclude<Access, "anybody">): void {
  if (role === "admin" || access.includes(role)) return;
  const allowed = [...access, "admin"].map((each) => `"${each}"`).join(" or ");
  throw new Forbidden(`A key with the role "${role}" may not do this; one with the role ${allowed} may.`);
}
