import type { Request, RequestHandler } from "express";
import { InvalidValue } from "./parse-request.ts";
import { reachedHost } from "./reached-address.ts";

/**
 * Redirects a request that reached the proxy over http to https. The host is that of `publicUrl` where that is an https address, else the host in
 * the request. A client may name any host there, so the answer must not be cached for others. Methods other than GET and HEAD get 308, since
 * clients make a GET of them after a 301. Throws InvalidValue.
 */
export function redirectToHttps(publicUrl: string | undefined): RequestHandler {
  const known = publicUrl?.startsWith("https:") ? new URL(publicUrl).host : undefined;
  return (request, response, next) => {
    if (request.get("x-forwarded-proto") !== "http") return next();
    const target = `https://${known ?? reachedHost(request)}${pathOf(request)}`;
    const isReading = request.method === "GET" || request.method === "HEAD";
    response.set("Cache-Control", "no-store").redirect(isReading ? 301 : 308, target);
  };
}

/** The path and query that are asked for, also where the target is a whole address (RFC 9112, 3.2.2). */
function pathOf({ originalUrl }: Request): string {
  if (/^\/(?![/\\])/.test(originalUrl)) return originalUrl;
  if (!/^https?:\/\//i.test(originalUrl) || !URL.canParse(originalUrl))
    throw new InvalidValue("The request's target is neither a path nor an address.");
  const { pathname, search } = new URL(originalUrl);
  return pathname + search;
}
