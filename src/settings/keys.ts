/** Named keys: what they may do is said by their role, who used one by its name. */
import { createHash, randomBytes } from "node:crypto";
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUniqueViolation } from "../db/faults.ts";
import { newId } from "../db/ids.ts";
import { apiKeys } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import type { Role } from "../db/values.ts";
import { Conflict, NotFound } from "../errors.ts";

/** A key as it may be shown; the key itself is nowhere but with whom it was given to. */
export interface NamedKey {
  name: string;
  role: Role;
  created_at: number;
  last_used_at: number | null;
  revoked_at: number | null;
}

const PREFIX = "bloom_";
/** Who the audit names where no named key was shown. */
const TAKEN = new Set(["admin", "api", "membridge", "operator", "router", "runtime"]);
/** How often the time of the last use is written. */
const USED_EVERY_MS = 60_000;

const shown = {
  name: apiKeys.name,
  role: apiKeys.role,
  created_at: apiKeys.created_at,
  last_used_at: apiKeys.last_used_at,
  revoked_at: apiKeys.revoked_at,
};

/** Its last use is not written, or not lately. */
const isQuiet = sql<boolean>`coalesce(${apiKeys.last_used_at}, 0) < ${nowMs} - ${USED_EVERY_MS}`;

/** Makes a key of 256 random bits and gives it, this once. Conflict: a valid key has this name already, or the audit has it for others. */
export async function createKey(db: Db, name: string, role: Role): Promise<string> {
  if (TAKEN.has(name.toLowerCase()))
    throw new Conflict(`The audit names others "${name}"; take another name for the key.`);
  const key = PREFIX + randomBytes(32).toString("base64url");
  try {
    await inTransaction(db, async (tx) => {
      await tx.insert(apiKeys).values({ id: newId(), name, role, key_sha256: sha256Of(key), created_at: nowMs });
      await audit(tx, keyFact("key_created", name, `Role: ${role}`));
    });
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new Conflict(`There is a key "${name}" already; revoke it first, or take another name.`);
  }
  return key;
}

/** All keys that were ever made, the oldest first. */
export function listKeys(db: Db): Promise<NamedKey[]> {
  return db.select(shown).from(apiKeys).orderBy(asc(apiKeys.created_at), asc(apiKeys.id));
}

/** From now on nobody gets in with it. NotFound: no valid key has this name. */
export async function revokeKey(db: Db, name: string): Promise<void> {
  await inTransaction(db, async (tx) => {
    const revoked = await tx
      .update(apiKeys)
      .set({ revoked_at: nowMs })
      .where(and(eq(apiKeys.name, name), isNull(apiKeys.revoked_at)))
      .returning({ id: apiKeys.id });
    if (revoked.length === 0) throw new NotFound(`There is no valid key "${name}".`);
    await audit(tx, keyFact("key_revoked", name, "Revoked"));
  });
}

/** The valid key that this text is, and notes its use. It is looked for by its hash, so that the time it takes says nothing about any key. */
export async function findKey(db: Db, key: string): Promise<{ id: string; name: string; role: Role } | undefined> {
  if (!key.startsWith(PREFIX)) return undefined;
  const isIt = and(eq(apiKeys.key_sha256, sha256Of(key)), isNull(apiKeys.revoked_at));
  const [found] = await db
    .select({ name: apiKeys.name, role: apiKeys.role, id: apiKeys.id, isQuiet })
    .from(apiKeys)
    .where(isIt);
  if (!found) return undefined;
  if (found.isQuiet)
    await db
      .update(apiKeys)
      .set({ last_used_at: nowMs })
      .where(and(eq(apiKeys.id, found.id), isQuiet));
  return { id: found.id, name: found.name, role: found.role };
}

const sha256Of = (key: string) => createHash("sha256").update(key).digest("hex");

const keyFact = (action: string, name: string, detail: string) => ({
  action,
  entity_type: "api_key",
  entity_id: name,
  actor: "operator",
  detail,
});
