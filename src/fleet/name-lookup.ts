import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { limitConcurrency } from "../places.ts";

/**
 * A name that was found within this time is known: its next lookup does not wait for those of unknown names. The callers for a name whose last
 * addresses may be used wait no longer than this.
 */
const QUICK_MS = 2_000;
/** How old the last addresses of a name may be that are used while its lookup takes too long. Resolvers go further (RFC 8767): days. */
const LAST_WITHIN_MS = 3_600_000;
const MOST_KNOWN = 1_000;
/** How long a lookup waits for others. The system gives up a lookup that nobody answers after 10 to 30 s. */
const BEGUN_WITHIN_MS = 10_000;

/** The error has the code of a lookup that may be repeated: no connection was made. */
const overdue = () =>
  Object.assign(new Error("its name could not be looked up: too many names wait for that"), { code: "EAI_AGAIN" });

/** Finds all addresses of a name; the callers for the same name share one lookup. */
export type NameLookup = (host: string) => Promise<LookupAddress[]>;

interface Found {
  addresses: LookupAddress[];
  at: number;
  isQuick: boolean;
}

/**
 * Looks up names that others have set, such as the hosts of callbacks. Two lookups run at most: one of a name known to be quick, and one of any
 * other. libuv looks up only two names of a process at once, the database's included, and names that no server answers once blocked it: 48 of 48
 * creations were 503. If a lookup takes long, the addresses that were found last are used: a known name that nobody answered any more held up all
 * others for 13 s. `resolve` is the system's lookup. Rejects when the name has no address, or when the lookup has not begun within 10 s.
 */
export function createNameLookup(
  resolve: LookupFunction,
  { begunWithinMs = BEGUN_WITHIN_MS, quickMs = QUICK_MS } = {},
): NameLookup {
  const oneAtATime = () => limitConcurrency(1, begunWithinMs, overdue);
  const lookUpQuick = oneAtATime();
  const lookUpOther = oneAtATime();
  /** What was found last of each name, the oldest first. */
  const last = new Map<string, Found>();
  const running = new Map<string, { lookup: Promise<LookupAddress[]>; since: number }>();

  function keep(host: string, found: Found): void {
    last.delete(host);
    last.set(host, found);
    const [oldest] = last.keys();
    if (oldest !== undefined && last.size > MOST_KNOWN) last.delete(oldest);
  }

  const find = (host: string) =>
    new Promise<LookupAddress[]>((found, failed) => {
      const began = performance.now();
      const before = last.get(host);
      if (before) before.isQuick = false;
      resolve(host, { all: true }, (error, answer) => {
        if (error) {
          last.delete(host);
          return failed(error);
        }
        const addresses = typeof answer === "string" ? [{ address: answer, family: isIP(answer) }] : answer;
        const at = performance.now();
        keep(host, { addresses, at, isQuick: at - began < quickMs });
        found(addresses);
      });
    });

  function begin(host: string) {
    const inTurn = last.get(host)?.isQuick ? lookUpQuick : lookUpOther;
    const lookup = inTurn(() => find(host)).finally(() => running.delete(host));
    const begun = { lookup, since: performance.now() };
    running.set(host, begun);
    return begun;
  }

  return (host) => {
    const { lookup, since } = running.get(host) ?? begin(host);
    const now = performance.now();
    const found = last.get(host);
    if (found === undefined || now - found.at > LAST_WITHIN_MS) return lookup;
    return new Promise((resolved, rejected) => {
      const late = setTimeout(resolved, Math.max(0, since + quickMs - now), found.addresses);
      lookup.then(resolved, rejected).finally(() => clearTimeout(late));
    });
  };
}
