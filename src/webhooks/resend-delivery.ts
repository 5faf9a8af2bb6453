import { eq, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid } from "../db/ids.ts";
import { inTransaction } from "../db/transaction.ts";
import { webhookDeliveries as deliveries, webhooks } from "../db/webhook-tables.ts";
import { Conflict, NotFound } from "../errors.ts";
import { RETRY_MS } from "./delivery-times.ts";

/**
 * Sends a delivery again, in whatever state it is: at once, and then for its whole time, under the same `webhook-id`. NotFound: there is no such
 * delivery. Conflict: its webhook is off or removed.
 */
export function resend(db: Db, caller: Caller | undefined, id: string): Promise<void> {
  return inTransaction(db, async (tx) => {
    const [delivery] = isUuid(id) ? await tx.select().from(deliveries).where(eq(deliveries.id, id)).for("update") : [];
    if (!delivery) throw new NotFound("Delivery not found");
    if (delivery.url === null) await requireOn(tx, delivery.target);
    await tx
      .update(deliveries)
      .set({ state: "pending", next_at: nowMs, retry_until: sql`${nowMs} + ${RETRY_MS}::bigint`, ended_at: null })
      .where(eq(deliveries.id, id));
    await audit(tx, {
      action: "webhook_resent",
      entity_type: "webhook_delivery",
      entity_id: id,
      actor: actorOf(caller, "admin"),
      detail: `${delivery.type} of ${delivery.entity_type} ${delivery.entity_id}`,
    });
  });
}

async function requireOn(tx: Db, webhookId: string): Promise<void> {
  const [webhook] = await tx.select({ off: webhooks.off_since }).from(webhooks).where(eq(webhooks.id, webhookId));
  if (!webhook) throw new Conflict("Its webhook was removed.");
  if (webhook.off !== null) throw new Conflict("Its webhook is off; turn it on first, which sends what is pending.");
}
