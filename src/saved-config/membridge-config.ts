import { eq, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { shownUrl } from "../callable-addresses.ts";
import type { Caller } from "../caller.ts";
import type { RuntimeConfig } from "../contract/record-types.ts";
import type { SaveConfig } from "../contract/requests.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { databaseTime, nowMs } from "../db/clock.ts";
import { runtimeSettings } from "../db/settings-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { isSealed, type SecretBox } from "./secret-box.ts";
import { KEY_CHECK, sealKeyCheck } from "./settings-key-check.ts";

/** The address of Membridge, and the admin key, which only the server may know. */
export interface MembridgeAddress {
  url: string;
  adminKey: string;
}

/** The outcome of a call of Membridge. */
export interface ConnectionState {
  connected: boolean;
  /** Why Membridge cannot be used, in a sentence for clients. */
  reason: string | null;
  /** True for a call that needs the admin key. Another call cannot show that the key is right. */
  isKeyed: boolean;
}

/** How often an unchanged connection state is written again. */
const REFRESH_MS = 30_000;

/**
 * The saved configuration. Every read asks the database, so that what one instance saves, all others use (lifecycle.md, invariant 11).
 * `defaults` come from the environment, and are used until something is saved.
 */
export function createMembridgeConfig(db: Db, box: SecretBox, defaults: MembridgeAddress, log: Logger) {
  async function read(by: Db = db) {
    const rows = await by.select().from(runtimeSettings);
    return new Map(rows.map((row) => [row.key, row.value]));
  }

  function addressIn(saved: Map<string, string>): MembridgeAddress {
    // The old service saved "" for a value that was not given.
    const stored = saved.get("admin_key");
    let adminKey = defaults.adminKey;
    if (stored) {
      const opened = isSealed(stored) ? box.open("admin_key", stored) : stored;
      if (opened === undefined)
        log.error("the saved admin key was encrypted with another SETTINGS_KEY; save the configuration again");
      adminKey = opened ?? "";
    }
    return { url: saved.get("membridge_server_url") || defaults.url, adminKey };
  }

  function put(tx: Db, key: string, value: unknown) {
    return tx
      .insert(runtimeSettings)
      .values({ key, value: sql`${value}` })
      .onConflictDoUpdate({ target: runtimeSettings.key, set: { value: sql`excluded.value` } });
  }

  async function isOld(tx: Db, lastTest: string | undefined): Promise<boolean> {
    return Number(lastTest ?? 0) < (await databaseTime(tx)) - REFRESH_MS;
  }

  return {
    async address(): Promise<MembridgeAddress> {
      return addressIn(await read());
    },

    /** The configuration as clients may see it, with the key masked. */
    async view(): Promise<RuntimeConfig> {
      const saved = await read();
      const { url, adminKey } = addressIn(saved);
      const lastTest = saved.get("last_test");
      return {
        membridge_server_url: shownUrl(url),
        admin_key_masked: maskKey(adminKey),
        connected: saved.get("connected") === "true",
        last_test: lastTest ? Number(lastTest) : null,
        reason: saved.get("connected") === "true" ? null : saved.get("reason") || null,
      };
    },

    /** Saves the address and the admin key, for the caller. */
    async save(caller: Caller | undefined, { membridge_server_url, admin_key }: SaveConfig): Promise<void> {
      await inTransaction(db, async (tx) => {
        // All saves write in the order of the keys, so that two saves cannot wait for each other.
        await put(tx, "admin_key", box.seal("admin_key", admin_key));
        await put(tx, "admin_key_refused", "false");
        await put(tx, "membridge_server_url", membridge_server_url);
        await put(tx, KEY_CHECK, sealKeyCheck(box));
        await put(tx, "reason", "");
        await audit(tx, {
          action: "config_updated",
          entity_type: "runtime_config",
          entity_id: "singleton",
          actor: actorOf(caller, "admin"),
          detail: `Updated membridge URL to ${membridge_server_url}`,
        });
      });
    },

    /**
     * Records whether Membridge can be used now. An unchanged state is written every 30 s at most, or always when it was `asked` for. While
     * Membridge refuses the admin key, the success of a call that needs no key changes nothing.
     */
    async recordConnection({ connected, reason, isKeyed }: ConnectionState, { asked = false } = {}): Promise<void> {
      await inTransaction(db, async (tx) => {
        const saved = await read(tx);
        if (connected && !isKeyed && saved.get("admin_key_refused") === "true") return;
        const isRefused = String(isKeyed && !connected);
        const isSame =
          saved.get("connected") === String(connected) &&
          (saved.get("reason") ?? "") === (reason ?? "") &&
          (saved.get("admin_key_refused") ?? "false") === isRefused;
        if (isSame && !asked && !(await isOld(tx, saved.get("last_test")))) return;
        await put(tx, "admin_key_refused", isRefused);
        await put(tx, "connected", String(connected));
        await put(tx, "last_test", sql`${nowMs}::text`);
        await put(tx, "reason", reason ?? "");
      });
    },

    /**
     * Seals the saved admin key with the current settings key, if an adopted database holds it in plain text, or it was sealed with
     * SETTINGS_KEY_PREVIOUS. A value that neither settings key opens stays as it is.
     */
    async sealAnew(): Promise<void> {
      await inTransaction(db, async (tx) => {
        const [row] = await tx.select().from(runtimeSettings).where(eq(runtimeSettings.key, "admin_key")).for("update");
        if (!row || row.value === "" || box.isCurrent("admin_key", row.value)) return;
        const wasSealed = isSealed(row.value);
        const plain = wasSealed ? box.open("admin_key", row.value) : row.value;
        if (plain === undefined) return;
        await put(tx, "admin_key", box.seal("admin_key", plain));
        await audit(tx, {
          action: wasSealed ? "admin_key_reencrypted" : "admin_key_encrypted",
          entity_type: "runtime_config",
          entity_id: "singleton",
          actor: "runtime",
          detail: wasSealed
            ? "The admin key was encrypted with SETTINGS_KEY_PREVIOUS and is encrypted with SETTINGS_KEY now"
            : "The admin key was stored in plain text and is encrypted now",
        });
      });
    },
  };
}

export type MembridgeConfig = ReturnType<typeof createMembridgeConfig>;

/** Shows the first and last 4 characters of a key around `****`. A key of less than 16 characters is hidden whole, and no key is "". */
function maskKey(key: string): string {
  if (key === "") return "";
  return key.length < 16 ? "****" : `${key.slice(0, 4)}****${key.slice(-4)}`;
}
