/** The webhooks as clients read them. Secrets are not among the columns that are read here. */
import { desc, eq } from "drizzle-orm";
import type { Webhook } from "../contract/webhook-records.ts";
import type { Db } from "../db/client.ts";
import { pickColumns } from "../db/column-lists.ts";
import { isUuid } from "../db/ids.ts";
import { webhooks } from "../db/webhook-tables.ts";
import { NotFound } from "../errors.ts";

export const webhookColumns = pickColumns(webhooks, [
  "id",
  "url",
  "events",
  "previous_secret_until",
  "off_since",
  "off_reason",
  "created_at",
  "updated_at",
  "last_success_at",
]);

export const webhookNotFound = () => new NotFound("Webhook not found");

/** All webhooks, newest first. */
export function listWebhooks(db: Db): Promise<Webhook[]> {
  return db.select(webhookColumns).from(webhooks).orderBy(desc(webhooks.created_at), desc(webhooks.id));
}

/** The webhook. NotFound: there is none with this id. */
export async function getWebhook(db: Db, id: string): Promise<Webhook> {
  const [webhook] = isUuid(id) ? await db.select(webhookColumns).from(webhooks).where(eq(webhooks.id, id)) : [];
  if (!webhook) throw webhookNotFound();
  return webhook;
}
