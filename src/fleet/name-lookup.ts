import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { limitConcurrency } from "../concurrency-limit.ts";

/** A name that was found within this time is known: its next lookup does not wait for those of unknown names. */
const QUICK_MS = 2_000;
const MOST_KNOWN = 1_000;
/** How long a lookup waits for others. The system gives up a lookup that nobody answers after 10 to 30 s. */
const BEGUN_WITHIN_MS = 10_000;

/** With the code of a lookup that may be repeated: no connection was made. */
const overdue = () =>
  Object.assign(new Error("its name could not be looked up: too many names wait for that"), { code: "EAI_AGAIN" });

/** Finds all addresses of a name; the callers for the same name share one lookup. */
export type NameLookup = (host: string) => Promise<LookupAddress[]>;

/**
 * Looks up names that others have set, such as the hosts of callbacks. libuv looks up two names of a process at once, the database's included, and
 * names that no server answers once blocked it: 48 of 48 creations were 503. So one known and one unknown name are looked up at a time. `resolve` is
 * the system's lookup. Rejects when the name has no address, or when the lookup has not begun within 10 s.
 */
export function createNameLookup(resolve: LookupFunction, begunWithinMs = BEGUN_WITHIN_MS): NameLookup {
  const lane = () => limitConcurrency(1, begunWithinMs, overdue);
  const ofKnown = lane();
  const ofUnknown = lane();
  /** The names that were found last, the oldest first. */
  const known = new Set<string>();
  const running = new Map<string, Promise<LookupAddress[]>>();

  const find = (host: string) =>
    new Promise<LookupAddress[]>((found, failed) => {
      const began = performance.now();
      known.delete(host);
      resolve(host, { all: true }, (error, addresses) => {
        if (error) return failed(error);
        if (performance.now() - began < QUICK_MS) known.add(host);
        const [oldest] = known;
        if (oldest !== undefined && known.size > MOST_KNOWN) known.delete(oldest);
        found(typeof addresses === "string" ? [{ address: addresses, family: isIP(addresses) }] : addresses);
      });
    });
  return (host) => {
    const underWay = running.get(host);
    if (underWay !== undefined) return underWay;
    const lookup = (known.has(host) ? ofKnown : ofUnknown)(() => find(host)).finally(() => running.delete(host));
    running.set(host, lookup);
    return lookup;
  };
}
