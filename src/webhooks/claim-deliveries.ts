import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { statement } from "../db/statement.ts";
import { isCallbackTarget } from "./callback-rules.ts";
import { claimCallbacks } from "./claim-callbacks.ts";
import { type ClaimedDelivery, callsLeft, callsNow, claimedColumns, takeDue } from "./delivery-claim-parts.ts";

/**
 * The most callbacks that an instance sends at once, to all targets together. Each host in a `callback_url` is a target: 3,000 hosts that never
 * answered left no calls for webhooks for minutes.
 */
const MOST_CALLBACKS = 50;

/** The webhooks (100 at most) come in a random order, so that none always comes last where not all can be called. */
const CLAIM = statement<ClaimedDelivery, { busy: string[]; calls: string[]; most: number }>(
  "claim_deliveries",
  sql`with open as (
      select h.id::text as name, ${callsLeft} as calls_left
      from runtime_webhooks h
        left join runtime_webhook_rests r on r.target = h.id::text
        left join ${callsNow} on b.name = h.id::text
      where h.off_since is null and coalesce(r.until, 0) <= ${nowMs}
      order by random()
    ), ${takeDue}
    select ${claimedColumns}, h.url, h.secret, case when h.previous_secret_until > ${nowMs} then h.previous_secret end as previous_secret
    from claimed d join runtime_webhooks h on h.id::text = d.target`,
);

/**
 * Takes up to `most` deliveries that are due, for this instance alone until their call counts as lost: those of webhooks before callbacks.
 * `calls` says how many calls this instance makes to each target now.
 */
export async function claimDeliveries(
  db: Db,
  calls: ReadonlyMap<string, number>,
  most: number,
): Promise<ClaimedDelivery[]> {
  const claimed = await CLAIM(db, { busy: [...calls.keys()], calls: [...calls.values()].map(String), most });
  let callbacksLeft = MOST_CALLBACKS;
  for (const [target, count] of calls) if (isCallbackTarget(target)) callbacksLeft -= count;
  callbacksLeft = Math.min(callbacksLeft, most - claimed.length);
  return callbacksLeft > 0 ? claimed.concat(await claimCallbacks(db, calls, callbacksLeft)) : claimed;
}
