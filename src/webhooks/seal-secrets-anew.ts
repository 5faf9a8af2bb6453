import { eq } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { inTransaction } from "../db/transaction.ts";
import { webhooks } from "../db/webhook-tables.ts";
import type { SecretBox } from "../saved-config/secret-box.ts";
import { sealName } from "./change-webhooks.ts";

/**
 * At the start, seals secrets of webhooks with the current settings key that were sealed with SETTINGS_KEY_PREVIOUS. A secret that neither key opens
 * stays as it is.
 */
export async function sealSecretsAnew(db: Db, box: SecretBox): Promise<void> {
  await inTransaction(db, async (tx) => {
    const rows = await tx.select().from(webhooks).orderBy(webhooks.id).for("update");
    for (const { id, secret, previous_secret } of rows) {
      const anew = (sealed: string) => {
        if (box.isCurrent(sealName(id), sealed)) return sealed;
        const plain = box.open(sealName(id), sealed);
        return plain === undefined ? sealed : box.seal(sealName(id), plain);
      };
      const changed = { secret: anew(secret), previous_secret: previous_secret && anew(previous_secret) };
      if (changed.secret === secret && changed.previous_secret === previous_secret) continue;
      await tx.update(webhooks).set(changed).where(eq(webhooks.id, id));
    }
  });
}
