/**
 * DATABASE_URL as libpq understands it: several hosts, target_session_attrs, sslmode and sslrootcert. The driver knows one host for each
 * connection.
 */

/** Scheme, user and password, hosts with ports, and the rest. */
const PARTS = /^(postgres(?:ql)?:\/\/)([^/?#]*@)?([^/?#]*)(.*)$/s;
/** Names of servers that take changes, as this service needs. */
const WRITABLE = ["any", "read-write", "primary"];

/** An address that no connection can be made with. The message says why, without the address, which has a password in it. */
export class InvalidAddress extends Error {}

/**
 * Gives one address for each host that `url` names, in their order: `postgresql://a:5432,b:5432/bloom` and
 * `postgresql:///bloom?host=a,b&port=5432` name two. Throws InvalidAddress.
 */
export function serverAddresses(url: string): string[] {
  const [, scheme = "", login = "", hosts = "", rest = ""] = PARTS.exec(url) ?? [];
  const addresses = hosts.split(",").map((host) => addressOf(`${scheme}${login}${host}${rest}`));
  return addresses.flatMap(namedByParameter);
}

/** Names the servers for people: each host with its port, and the name of the database. No user, no password. */
export function nameServers(url: string): { hosts: string; database: string } {
  const addresses = serverAddresses(url).map((address) => new URL(address));
  return {
    hosts: addresses.map(({ host, searchParams }) => searchParams.get("host") ?? host).join(", "),
    database: addresses[0]?.pathname.slice(1) ?? "",
  };
}

function addressOf(text: string): string {
  // "Invalid URL", or a password that is cut at its #, would not tell the operator what is wrong.
  if (!URL.canParse(text) || new URL(text).hash !== "")
    throw new InvalidAddress(
      "is no address. In its user and password write % as %25, # as %23, / as %2F, ? as %3F and @ as %40",
    );
  const url = new URL(text);
  const wanted = url.searchParams.get("target_session_attrs");
  if (wanted !== null && !WRITABLE.includes(wanted))
    throw new InvalidAddress(
      `asks for a ${wanted} server in target_session_attrs, and the service needs one that takes changes: write read-write, or leave it out`,
    );
  if (wanted !== null) url.searchParams.delete("target_session_attrs");
  // Without this, the driver takes each sslmode from `prefer` on as verify-full, and warns about it.
  if (url.searchParams.has("sslmode") && !url.searchParams.has("uselibpqcompat"))
    url.searchParams.set("uselibpqcompat", "true");
  return url.search === new URL(text).search ? text : url.href;
}

/** The parameters `host` and `port` may name several servers too. A single port is the port of all hosts. */
function namedByParameter(address: string): string[] {
  const url = new URL(address);
  const hosts = url.searchParams.get("host")?.split(",") ?? [];
  if (hosts.length < 2) return [address];
  const ports = url.searchParams.get("port")?.split(",") ?? [];
  if (ports.length > 1 && ports.length !== hosts.length)
    throw new InvalidAddress(
      `names ${hosts.length} hosts and ${ports.length} ports: write one port, or one for each host`,
    );
  return hosts.map((host, n) => {
    const one = new URL(address);
    one.searchParams.set("host", host);
    const port = ports[n] ?? ports[0];
    if (port !== undefined) one.searchParams.set("port", port);
    return one.href;
  });
}
