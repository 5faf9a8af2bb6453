import { eq } from "drizzle-orm";
import type { Logger } from "pino";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { runtimeSettings } from "../db/settings-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import type { SecretBox } from "./secret-box.ts";

/** A setting that shows with which key settings are sealed: it holds a known text, sealed. */
export const KEY_CHECK = "settings_key_check";
export const sealKeyCheck = (box: SecretBox) => box.seal(KEY_CHECK, "bloom-runtime");

/**
 * Warns at the start when another instance on this database seals settings with another key, so that neither can open what the other saves. The
 * first start records its key, and a key that is changed with SETTINGS_KEY_PREVIOUS is recorded anew.
 */
export async function checkSettingsKey(db: Db, box: SecretBox, log: Logger): Promise<void> {
  const isOurs = await inTransaction(db, async (tx) => {
    const value = sealKeyCheck(box);
    const made = await tx
      .insert(runtimeSettings)
      .values({ key: KEY_CHECK, value })
      .onConflictDoNothing()
      .returning({ key: runtimeSettings.key });
    if (made.length === 0) {
      const [row] = await tx.select().from(runtimeSettings).where(eq(runtimeSettings.key, KEY_CHECK)).for("update");
      if (!row || box.isCurrent(KEY_CHECK, row.value)) return true;
      if (box.open(KEY_CHECK, row.value) === undefined) return false;
      await tx.update(runtimeSettings).set({ value }).where(eq(runtimeSettings.key, KEY_CHECK));
    }
    await audit(tx, {
      action: "settings_key_recorded",
      entity_type: "runtime_config",
      entity_id: KEY_CHECK,
      actor: "runtime",
      detail: "Which key settings are encrypted with was recorded; the key itself is not stored",
    });
    return true;
  });
  if (!isOurs)
    log.warn(
      "settings in this database are encrypted with another key than this instance has: give every instance the same SETTINGS_KEY (or the same settings.key in DATA_DIR), or save the configuration again with this one and rotate the secrets of webhooks",
    );
}

/** Whether this key opens what the service's settings were sealed with last. True where nothing is recorded yet. */
export async function isSettingsKeyRight(db: Db, box: SecretBox): Promise<boolean> {
  const [row] = await db.select().from(runtimeSettings).where(eq(runtimeSettings.key, KEY_CHECK));
  return !row || box.open(KEY_CHECK, row.value) !== undefined;
}
