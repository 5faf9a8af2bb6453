import type { Request } from "express";
import { InvalidValue } from "./parse-request.ts";

/** Names of Docker Compose have underscores. */
const HOST = /^[a-z0-9_.-]+(:\d{1,5})?$|^\[[0-9a-f:.]+\](:\d{1,5})?$/i;

/** Where the client has reached this service, without a path. Throws InvalidValue. */
export function reachedAddress(request: Request): string {
  return `${request.secure ? "https" : "http"}://${reachedHost(request)}`;
}

/** The host, and the port if there is one, that the client names. Throws InvalidValue. */
export function reachedHost(request: Request): string {
  const host = request.get("host") ?? "";
  if (!HOST.test(host)) throw new InvalidValue("The Host header is not a host name.");
  return host;
}
