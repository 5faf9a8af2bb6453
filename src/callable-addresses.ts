/** The addresses that this service may call. The same rules hold when an address is saved and when a connection is made. */
import { BlockList, isIP } from "node:net";

/** An IP address or a name as a URL has it: an IPv6 address stands in brackets. */
export const hostInUrl = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** The IPv4 networks of clouds' metadata services, which hand out a machine's secrets to any program on it. */
const METADATA_V4: [network: string, bits: number][] = [
  ["169.254.0.0", 16],
  ["100.100.100.200", 32],
  ["168.63.129.16", 32],
  ["192.0.0.192", 32],
];
const METADATA_V6: [network: string, bits: number][] = [
  ["fd00:ec2::254", 128],
  ["fd20:ce::254", 128],
  ["fe80::", 10],
  // Local translators (RFC 8215) and Teredo: their addresses may contain any IPv4 address, at several places or inverted.
  ["64:ff9b:1::", 48],
  ["2001::", 32],
];
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("0.0.0.0", "ipv4");
LOOPBACK.addAddress("::1", "ipv6");
LOOPBACK.addAddress("::", "ipv6");
const METADATA_NAMES = new Set([
  "metadata",
  "metadata.google.internal",
  "metadata.goog",
  "instance-data",
  "instance-data.ec2.internal",
]);

const metadata = new BlockList();
for (const [network, bits] of METADATA_V4) {
  metadata.addSubnet(network, bits, "ipv4");
  // BlockList knows ::ffff:0:0/96 by itself; these are NAT64, 6to4, the translated form of RFC 2765 and the old compatible one.
  const [a = 0, b = 0, c = 0, d = 0] = network.split(".").map(Number);
  const groups = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  metadata.addSubnet(`64:ff9b::${groups}`, 96 + bits, "ipv6");
  metadata.addSubnet(`2002:${groups}::`, 16 + bits, "ipv6");
  metadata.addSubnet(`::ffff:0:${groups}`, 96 + bits, "ipv6");
  metadata.addSubnet(`::${groups}`, 96 + bits, "ipv6");
}
for (const [network, bits] of METADATA_V6) metadata.addSubnet(network, bits, "ipv6");

/** True for an absolute http or https address without credentials and fragment that is no cloud's metadata service. */
export function isHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, username, password, href } = new URL(value);
  const isPlain = hostname !== "" && !username && !password && !href.includes("#");
  return ["http:", "https:"].includes(protocol) && isPlain && !isMetadataHost(hostname);
}

/** True for an address of `isHttpUrl` without a query, so that an agent's paths can be added to it. */
export function isAgentUrl(value: string): boolean {
  return isHttpUrl(value) && !new URL(value).href.includes("?");
}

/**
 * A stored address as clients may see it: "" where the address must not be called, since an address in an adopted database may contain a
 * password.
 */
export function shownUrl(stored: string): string {
  return isHttpUrl(stored) ? stored : "";
}

export const HTTP_URL =
  "must be an http:// or https:// address without user name and fragment, and of no cloud's metadata service";

export const AGENT_URL = `${HTTP_URL}, and without a query`;

/** The host names and networks of OUTBOUND_ALLOW. Undefined allows every address but those of metadata services. */
export interface Allowed {
  names: ReadonlySet<string>;
  networks: BlockList;
}

/** True for the host of a URL, a name or an address, that is a cloud's metadata service. */
function isMetadataHost(host: string): boolean {
  const name = bare(host);
  return isIP(name) ? isIn(metadata, name) : METADATA_NAMES.has(name);
}

/** True for the host of a URL, a name or an address, that means whichever machine uses it. */
export function isLoopbackHost(host: string): boolean {
  const name = bare(host);
  return isIP(name) ? isIn(LOOPBACK, name) : name === "localhost" || name.endsWith(".localhost");
}

/** Why no connection is made to `address`, to which `host` was resolved; undefined when it is allowed. */
export function refusalOf(allowed: Allowed | undefined, host: string, address: string): string | undefined {
  if (isMetadataHost(host) || isIn(metadata, bare(address)))
    return `${host} is the address of a cloud's metadata service, which is never called`;
  if (!allowed || allowed.names.has(bare(host)) || isIn(allowed.networks, bare(address))) return undefined;
  return `${host} (${address}) is not in OUTBOUND_ALLOW`;
}

/** Reads a list such as "host, 10.0.0.0/8, fd00::/8". Undefined when an entry is neither a host name nor a network. */
export function parseAllowed(list: string): Allowed | undefined {
  const names = new Set<string>();
  const networks = new BlockList();
  for (const entry of list.split(",").map((each) => bare(each.trim()))) {
    const [address = "", prefix, ...rest] = entry.split("/");
    const version = isIP(address);
    const longest = version === 4 ? 32 : 128;
    const bits = prefix === undefined ? longest : Number(prefix || Number.NaN);
    if (rest.length > 0) return undefined;
    if (version > 0 && Number.isInteger(bits) && bits >= 0 && bits <= longest)
      networks.addSubnet(address, bits, version === 4 ? "ipv4" : "ipv6");
    else if (version === 0 && prefix === undefined && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?$/.test(address))
      names.add(address);
    else return undefined;
  }
  return { names, networks };
}

/** The host in small letters, without the brackets and the zone of IPv6, and without the dot at the end of a full name. */
function bare(host: string): string {
  return host.toLowerCase().replace(/^\[|\]$|%.*$|\.$/g, "");
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
