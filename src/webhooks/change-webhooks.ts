/** Making, changing and removing webhooks. Each change is one transaction with its audit entry. */
import { and, count, eq, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type {
  ChangeWebhook,
  CreateWebhook,
  RotateSecret,
  Webhook,
  WebhookWithSecret,
} from "../contract/webhook-records.ts";
import { type AuditFact, actorOf, audit } from "../db/audit.ts";
import type { AuditAction } from "../db/audit-actions.ts";
import { auditLogs } from "../db/audit-table.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid, newId } from "../db/ids.ts";
import { inTransaction } from "../db/transaction.ts";
import { webhookDeliveries, webhookRests, webhooks } from "../db/webhook-tables.ts";
import { Conflict } from "../errors.ts";
import type { SecretBox } from "../saved-config/secret-box.ts";
import { newSecret } from "../webhook-secret.ts";
import { shownOrigin } from "./callable-url.ts";
import { RETRY_MS } from "./delivery-times.ts";
import { webhookColumns, webhookNotFound } from "./webhook-list.ts";

/** The most webhooks. Each of them is compared with every event. */
const MOST_WEBHOOKS = 100;
/**
 * The advisory lock of a creation: without it, 40 at the same moment made 108 webhooks. It does not delay
 * deliveries, as a lock of the table would.
 */
const LOCK = 7_011_605;

/** The name that a webhook's secrets are sealed under. */
export const sealName = (id: string) => `webhook ${id}`;

/** In SQL, the number of the newest audit entry: a webhook that begins now is told of later entries. */
const newestSeq = sql`(select coalesce(max(${auditLogs.seq}), 0) from ${auditLogs})`;

/** Makes a webhook, and gives it with its secret, which is shown only now. Conflict: there are 100 already. */
export function createWebhook(
  db: Db,
  caller: Caller | undefined,
  box: SecretBox,
  { url, events, secret = newSecret() }: CreateWebhook,
): Promise<WebhookWithSecret> {
  return inTransaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${LOCK}::bigint)`);
    const [found] = await tx.select({ count: count() }).from(webhooks);
    if ((found?.count ?? 0) >= MOST_WEBHOOKS)
      throw new Conflict(`There are ${MOST_WEBHOOKS} webhooks already; remove one first.`);
    const id = newId();
    const row = { id, url, events, secret: box.seal(sealName(id), secret), created_at: nowMs, updated_at: nowMs };
    const [made] = await tx
      .insert(webhooks)
      .values({ ...row, from_seq: newestSeq })
      .returning(webhookColumns);
    if (!made) throw new Error("The insert of a webhook returned no row.");
    await audit(tx, fact("webhook_created", id, caller, `Sends ${events.join(", ")} to ${shownOrigin(url)}`));
    return { ...made, secret };
  });
}

/** Changes what is sent where, and turns the webhook on or off. What is not given stays. NotFound: there is no such webhook. */
export function changeWebhook(
  db: Db,
  caller: Caller | undefined,
  id: string,
  { url, events, on }: ChangeWebhook,
): Promise<Webhook> {
  return inTransaction(db, async (tx) => {
    const old = await lock(tx, id);
    const changes = [
      url !== undefined && `to ${shownOrigin(url)}`,
      events && `sends ${events.join(", ")}`,
      on === true && old.off_since !== null && "turned on",
      on === false && old.off_since === null && "turned off",
    ].filter((part) => part !== false && part !== undefined);
    const [changed] = await tx
      .update(webhooks)
      .set({
        ...(url !== undefined && { url }),
        ...(events && { events }),
        ...(on === true && old.off_since !== null && { off_since: null, off_reason: null, from_seq: newestSeq }),
        ...(on === false && old.off_since === null && { off_since: nowMs, off_reason: "turned off by an admin" }),
        updated_at: nowMs,
      })
      .where(eq(webhooks.id, id))
      .returning(webhookColumns);
    if (!changed) throw webhookNotFound();
    if (on === true && old.off_since !== null) await beginAnew(tx, old.id);
    await audit(tx, fact("webhook_updated", old.id, caller, changes.join("; ") || "nothing new"));
    return changed;
  });
}

/** Has the deliveries that were pending when the webhook was turned off tried again, each for its whole time. */
async function beginAnew(tx: Db, id: string): Promise<void> {
  await tx.delete(webhookRests).where(eq(webhookRests.target, id));
  await tx
    .update(webhookDeliveries)
    .set({ next_at: nowMs, retry_until: sql`${nowMs} + ${RETRY_MS}::bigint` })
    .where(and(eq(webhookDeliveries.target, id), eq(webhookDeliveries.state, "pending")));
}

/** Gives the webhook another secret, and shows it. The secret before signs too for `keep_seconds`. NotFound: there is no such webhook. */
export function rotateSecret(
  db: Db,
  caller: Caller | undefined,
  box: SecretBox,
  id: string,
  { secret = newSecret(), keep_seconds }: RotateSecret,
): Promise<WebhookWithSecret> {
  return inTransaction(db, async (tx) => {
    const old = await lock(tx, id);
    const isKept = keep_seconds > 0;
    const [changed] = await tx
      .update(webhooks)
      .set({
        secret: box.seal(sealName(old.id), secret),
        previous_secret: isKept ? old.secret : null,
        previous_secret_until: isKept ? sql`${nowMs} + ${keep_seconds * 1_000}::bigint` : null,
        updated_at: nowMs,
      })
      .where(eq(webhooks.id, id))
      .returning(webhookColumns);
    if (!changed) throw webhookNotFound();
    await audit(
      tx,
      fact("webhook_secret_rotated", old.id, caller, `The secret before signs too for ${keep_seconds} s more`),
    );
    return { ...changed, secret };
  });
}

/** Removes the webhook with what was still to be sent to it. NotFound: there is no such webhook. */
export function removeWebhook(db: Db, caller: Caller | undefined, id: string): Promise<void> {
  return inTransaction(db, async (tx) => {
    const { id: target, url } = await lock(tx, id);
    await tx.delete(webhooks).where(eq(webhooks.id, target));
    await tx.delete(webhookRests).where(eq(webhookRests.target, target));
    await tx
      .delete(webhookDeliveries)
      .where(and(eq(webhookDeliveries.target, target), eq(webhookDeliveries.state, "pending")));
    await audit(tx, fact("webhook_removed", target, caller, `Sent to ${shownOrigin(url)}`));
  });
}

async function lock(tx: Db, id: string) {
  const [webhook] = isUuid(id) ? await tx.select().from(webhooks).where(eq(webhooks.id, id)).for("update") : [];
  if (!webhook) throw webhookNotFound();
  return webhook;
}

const fact = (action: AuditAction, id: string, caller: Caller | undefined, detail: string): AuditFact => ({
  action,
  entity_type: "webhook",
  entity_id: id,
  actor: actorOf(caller, "admin"),
  detail,
});
