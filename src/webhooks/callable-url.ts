import { isIP } from "node:net";
import { type Allowed, refusalOf } from "../callable-addresses.ts";

/**
 * Why a message to `url` would be refused; undefined where it would not, as far as that is known now. The address of a host name is known only when a
 * connection is made, and is checked then (fleet/outbound.ts).
 */
export function urlFault(url: string, allowed: Allowed | undefined): string | undefined {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  return isIP(host) ? refusalOf(allowed, host, host) : undefined;
}

/** What logs and the audit may say of an address: the rest of it may be a secret of its receiver. */
export const shownOrigin = (url: string): string => new URL(url).origin;
