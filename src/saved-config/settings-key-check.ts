import { eq, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { runtimeSettings } from "../db/settings-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { webhooks } from "../db/webhook-tables.ts";
import type { SecretBox } from "./secret-box.ts";

/** A setting that shows with which key settings are sealed: it holds a known text, sealed. */
export const KEY_CHECK = "settings_key_check";
export const sealKeyCheck = (box: SecretBox) => box.seal(KEY_CHECK, "bloom-runtime");

/**
 * Warns at the start when another instance on this database seals settings with another key, so that neither can open what the other saves. The
 * first start records its key. A key that is changed with SETTINGS_KEY_PREVIOUS is recorded anew, as is another key while nothing is sealed, such as
 * after a restore without the file settings.key: nothing is lost then.
 */
export async function checkSettingsKey(db: Db, box: SecretBox, log: Logger): Promise<void> {
  const warning = await inTransaction(db, async (tx) => {
    let isReplaced = false;
    const value = sealKeyCheck(box);
    const made = await tx
      .insert(runtimeSettings)
      .values({ key: KEY_CHECK, value })
      .onConflictDoNothing()
      .returning({ key: runtimeSettings.key });
    if (made.length === 0) {
      const [row] = await tx.select().from(runtimeSettings).where(eq(runtimeSettings.key, KEY_CHECK)).for("update");
      if (!row || box.isCurrent(KEY_CHECK, row.value)) return undefined;
      isReplaced = box.open(KEY_CHECK, row.value) === undefined;
      if (isReplaced && (await isAnythingSealed(tx))) return ANOTHER_KEY;
      await tx.update(runtimeSettings).set({ value }).where(eq(runtimeSettings.key, KEY_CHECK));
    }
    await audit(tx, {
      action: "settings_key_recorded",
      entity_type: "runtime_config",
      entity_id: KEY_CHECK,
      actor: "runtime",
      detail: "Which key settings are encrypted with was recorded; the key itself is not stored",
    });
    return isReplaced ? REPLACED : undefined;
  });
  if (warning !== undefined) log.warn(warning);
}
const SAME_KEY = "give every instance the same SETTINGS_KEY (or the same settings.key in DATA_DIR)";
const ANOTHER_KEY = `settings in this database are encrypted with another key than this instance has: ${SAME_KEY}, or save the configuration again with this one and rotate the secrets of webhooks`;
const REPLACED = `another settings key was in use here before, and nothing is encrypted with it: this instance's key counts from now on. Where another instance has that one, ${SAME_KEY}`;

/** Whether anything is sealed that a lost key would make unreadable: the admin key or the secret of a webhook. */
async function isAnythingSealed(db: Db): Promise<boolean> {
  const { rows } = await db.execute<{ sealed: boolean }>(sql`
    select exists (select from ${runtimeSettings} where ${runtimeSettings.key} = 'admin_key') or exists (select from ${webhooks}) as sealed`);
  return rows[0]?.sealed ?? false;
}

/** Whether this key opens what the service's settings were sealed with last. True where nothing is recorded yet, or nothing is sealed. */
export async function isSettingsKeyRight(db: Db, box: SecretBox): Promise<boolean> {
  const [row] = await db.select().from(runtimeSettings).where(eq(runtimeSettings.key, KEY_CHECK));
  return !row || box.open(KEY_CHECK, row.value) !== undefined || !(await isAnythingSealed(db));
}
