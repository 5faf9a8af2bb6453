/** Who a client is, by its address: for limits, wrong keys and log lines alike. */
import { isIP } from "node:net";
import type { Request } from "express";
import { ipKeyGenerator } from "express-rate-limit";

/** A home or a machine has a whole IPv6 network of this size, and may take another address in it for each request. */
const NETWORK_BITS = 64;

/**
 * The client's address, as the trusted proxies name it in X-Forwarded-For, without the port and the brackets that Azure's gateways and IIS
 * write. Where there is no such address, it is the address of the connection.
 */
export function clientAddressOf({ ip, socket }: Pick<Request, "ip" | "socket">): string {
  return addressIn(ip ?? "") ?? addressIn(socket.remoteAddress ?? "") ?? "unknown";
}

/** The address, or for IPv6 the network around it, by which requests are counted. */
export function clientNetworkOf(address: string): string {
  return ipKeyGenerator(address, NETWORK_BITS);
}

/** Reads "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711"; undefined for anything else. */
function addressIn(text: string): string | undefined {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1];
  const bare = bracketed ?? (isIP(text) > 0 ? text : text.replace(/:\d{1,5}$/, ""));
  const address = bare.replace(/%.*$/, "").toLowerCase();
  const version = isIP(address);
  if (version === 0 || (bracketed !== undefined && version === 4)) return undefined;
  // A socket for both versions writes the address of an IPv4 client as one of IPv6.
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  return mapped ?? address;
}
