import { and, eq, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { statement } from "../db/statement.ts";
import { inTransaction } from "../db/transaction.ts";
import { webhookDeliveries as deliveries, webhookRests, webhooks } from "../db/webhook-tables.ts";
import { isCallbackTarget } from "./callback-rules.ts";
import type { ClaimedDelivery } from "./delivery-claim-parts.ts";
import { delayAfter, restAfter } from "./delivery-times.ts";
import type { SendOutcome } from "./send-delivery.ts";

const given = (name: string) => sql.placeholder(name);
/** The last success of a webhook is written no more often than this, so that not every message writes the webhook's row. */
const SUCCESS_EVERY_MS = sql.raw("60000");

/** Records that a receiver took a message, and ends the rest of its target: callbacks that waited for the end of that are due at once. */
const TAKEN = statement<never, { id: string; attempts: number; target: string; status: number | null }>(
  "delivery_taken",
  sql`with taken as (
      update runtime_webhook_deliveries
      set state = 'delivered', ended_at = ${nowMs}, last_status = ${given("status")}::int, last_error = null
      where id = ${given("id")}::uuid and attempts = ${given("attempts")}::int and state = 'pending'
    ), well as (
      delete from runtime_webhook_rests where target = ${given("target")} returning target
    ), woken as (
      update runtime_callback_turns c set due_at = least(c.due_at, ${nowMs}) from well where c.target = well.target
    )
    update runtime_webhooks set last_success_at = ${nowMs}
    where id::text = ${given("target")} and coalesce(last_success_at, 0) < ${nowMs} - ${SUCCESS_EVERY_MS}`,
);

/** Records how the call for a claimed delivery went. A call that counts as lost meanwhile changes nothing. */
export async function recordDelivery(db: Db, delivery: ClaimedDelivery, outcome: SendOutcome): Promise<void> {
  const { id, attempts, target } = delivery;
  if (!outcome.isTaken) return await recordFailure(db, delivery, outcome);
  await TAKEN(db, { id, attempts, target, status: outcome.status });
  db.meters.webhookAttempts.add(1, { outcome: "delivered" });
}

/**
 * Queues the delivery again after a delay, or gives it up when its time is over. Then its webhook is turned off, if it took nothing else
 * meanwhile.
 */
function recordFailure(db: Db, delivery: ClaimedDelivery, outcome: SendOutcome): Promise<void> {
  return inTransaction(db, async (tx) => {
    const { id, target, attempts, url } = delivery;
    const rest = await noteFailure(tx, target, outcome);
    const [tried] = await tx
      .update(deliveries)
      .set({
        next_at: sql`least(${nowMs} + ${Math.max(delayAfter(attempts), outcome.retryAfterMs, rest)}::bigint, ${deliveries.retry_until})`,
        last_status: outcome.status,
        last_error: outcome.error,
      })
      .where(and(eq(deliveries.id, id), eq(deliveries.attempts, attempts), eq(deliveries.state, "pending")))
      .returning({ isOver: sql<boolean>`${deliveries.retry_until} <= ${nowMs}` });
    if (!tried) return;
    const isGivenUp = outcome.isGone || tried.isOver;
    tx.onCommit(() => tx.meters.webhookAttempts.add(1, { outcome: isGivenUp ? "given up" : "failed" }));
    if (!isGivenUp) return;
    await tx.update(deliveries).set({ state: "failed", ended_at: nowMs }).where(eq(deliveries.id, id));
    const why = outcome.error ?? "no answer";
    await audit(tx, {
      action: "webhook_failed",
      entity_type: "webhook_delivery",
      entity_id: id,
      actor: "runtime",
      detail: `${delivery.type} of ${delivery.entity_type} ${delivery.entity_id} was given up after ${attempts} attempts: ${why}`,
    });
    if (!isCallbackTarget(target)) await turnOff(tx, delivery, outcome.isGone, why);
    tx.log.warn({ delivery: id, target, reason: why, to: new URL(url).origin }, "a webhook delivery was given up");
  });
}

/** Counts a failure of the target, and gives how long it rests then, in milliseconds. A receiver that refuses only this message does not rest. */
async function noteFailure(tx: Db, target: string, { isTargetDown, retryAfterMs }: SendOutcome): Promise<number> {
  if (!isTargetDown) return 0;
  const [noted] = await tx
    .insert(webhookRests)
    .values({ target, failures: 1, until: nowMs })
    .onConflictDoUpdate({ target: webhookRests.target, set: { failures: sql`${webhookRests.failures} + 1` } })
    .returning({ failures: webhookRests.failures });
  const rest = Math.max(retryAfterMs, restAfter(noted?.failures ?? 1));
  await tx
    .update(webhookRests)
    .set({ until: sql`${nowMs} + ${rest}::bigint` })
    .where(eq(webhookRests.target, target));
  return rest;
}

/** Turns the webhook off that said 410, or that has taken nothing since the delivery that is given up was queued. */
async function turnOff(tx: Db, { target, created_at }: ClaimedDelivery, isGone: boolean, why: string): Promise<void> {
  const reason = isGone
    ? "its receiver answered 410: it takes nothing any more"
    : `its receiver took nothing for 3 days: ${why}`;
  const took = sql`coalesce(${webhooks.last_success_at}, 0) >= ${created_at}::bigint`;
  const [off] = await tx
    .update(webhooks)
    .set({ off_since: nowMs, off_reason: reason, updated_at: nowMs })
    .where(sql`${webhooks.id}::text = ${target} and ${webhooks.off_since} is null and (${isGone} or not ${took})`)
    .returning({ id: webhooks.id });
  if (!off) return;
  await audit(tx, {
    action: "webhook_off",
    entity_type: "webhook",
    entity_id: off.id,
    actor: "runtime",
    detail: `Turned off: ${reason}`,
  });
}

/** Gives a delivery back whose call was broken off, since the service stops. It may have arrived, and is sent again under the same id. */
export async function giveBack(db: Db, { id, attempts }: ClaimedDelivery): Promise<void> {
  await db
    .update(deliveries)
    .set({ next_at: nowMs, attempts: attempts - 1 })
    .where(and(eq(deliveries.id, id), eq(deliveries.attempts, attempts), eq(deliveries.state, "pending")));
}
