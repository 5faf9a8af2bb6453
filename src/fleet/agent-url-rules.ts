import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { type Allowed, hostInUrl, isAgentUrl, isLoopbackHost, refusalOf } from "../callable-addresses.ts";
import type { Caller } from "../caller.ts";
import { Forbidden } from "../errors.ts";

/** True for a loopback address, which means whichever machine uses it. */
export function isLoopbackUrl(url: string): boolean {
  return URL.canParse(url) && isLoopbackHost(new URL(url).hostname);
}

/**
 * A worker's address as this service can use it. A node on another machine may name its own loopback address, as Debian's hosts file has it; it
 * then gets `from`, the address of its request, with the port that it named. Undefined: that is no address to call either.
 */
export function reachableUrl(url: string, from: string | undefined): { url: string; isFrom: boolean } | undefined {
  if (from === undefined || isIP(from) === 0 || !isLoopbackUrl(url) || isThisMachine(from))
    return { url, isFrom: false };
  const reachable = new URL(url);
  reachable.hostname = hostInUrl(from);
  return isAgentUrl(reachable.href) ? { url: reachable.href.replace(/\/$/, ""), isFrom: true } : undefined;
}

function isThisMachine(address: string): boolean {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return isLoopbackHost(address) || own.some((each) => each.address === address);
}

/**
 * Refuses an address that a worker's key may not set, since calls to agents carry the key that all agents share. Forbidden: the caller has only a
 * worker's key, and OUTBOUND_ALLOW does not allow the address. The address of a host name is checked when a connection is made.
 */
export function requireAllowedUrl(caller: Caller | undefined, url: string, allowed: Allowed | undefined): void {
  if (caller?.key?.role !== "work") return;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  const refusal =
    allowed === undefined ? "OUTBOUND_ALLOW is not set" : isIP(host) ? refusalOf(allowed, host, host) : undefined;
  if (refusal === undefined) return;
  throw new Forbidden(
    `A key with the role "work" may not set this url: ${refusal}. Register without a url, or let an admin register it or allow it there.`,
  );
}
