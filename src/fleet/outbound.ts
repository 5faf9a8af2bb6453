import { lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { type Allowed, refusalOf } from "../callable-addresses.ts";
import type { Meters } from "../metrics/service-meters.ts";
import { boundAnswerParts } from "./bound-answer-parts.ts";
import { createNameLookup } from "./name-lookup.ts";

/** The connections to addresses that others have named: those of Membridge and of workers, or those of webhooks and callbacks. */
export type Outbound = Dispatcher & {
  /** Where calls are measured. */
  readonly meters?: Meters | undefined;
};

/** The address may not be called; `message` says why. Nothing was sent. */
export class OutboundRefused extends Error {}

/**
 * Makes connections, and checks the address of each of them after its name was resolved, since a name may have another address than when it was
 * saved. An answer in too many parts is broken off. `resolve` is for tests. There are no limits of time: the callers set them.
 */
export function createOutbound(
  allowed?: Allowed,
  { resolve = systemLookup, meters }: { resolve?: LookupFunction; meters?: Meters } = {},
): Outbound {
  const addressesOf = createNameLookup(resolve);
  const lookup: LookupFunction = (host, options, done) =>
    void addressesOf(host).then(
      (addresses) => {
        const refusals = addresses.map(({ address }) => refusalOf(allowed, host, address));
        const good = addresses.filter((_, n) => refusals[n] === undefined);
        const [first] = good;
        if (!first) done(new OutboundRefused(refusals.find(Boolean) ?? `${host} has no address`), []);
        else if (options.all) done(null, good);
        else done(null, first.address, first.family);
      },
      (error) => done(error, []),
    );
  const connect = buildConnector({ lookup });
  const agent = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, done) => {
      const host = options.hostname.replace(/^\[|\]$/g, "");
      // A literal address is not looked up, so that it is checked here.
      const refusal = isIP(host) ? refusalOf(allowed, host, host) : undefined;
      if (refusal === undefined) connect(options, done);
      else done(new OutboundRefused(refusal), null);
    },
  });
  return Object.assign(agent.compose(boundAnswerParts), { meters });
}
