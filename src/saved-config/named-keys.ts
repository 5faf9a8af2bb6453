/** Named keys. The role of a key says what its holder may do, and its name says in the audit who did something. */
import { randomBytes } from "node:crypto";
import { and, asc, eq, inArray, isNotNull, isNull, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import { KEY_NAME } from "../contract/key-records.ts";
import { type AuditFact, actorOf, audit } from "../db/audit.ts";
import type { AuditAction } from "../db/audit-actions.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isDatabaseUnavailable, isUniqueViolation } from "../db/faults.ts";
import { newId } from "../db/ids.ts";
import { forNote } from "../db/note-patience.ts";
import type { Role } from "../db/roles.ts";
import { apiKeys } from "../db/settings-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict, NotFound } from "../errors.ts";
import { sha256Of } from "../sha256.ts";

/** What may be shown of a key. The key itself is not stored: only the person who created it has it. */
export interface NamedKey {
  name: string;
  role: Role;
  created_at: number;
  last_used_at: number | null;
  revoked_at: number | null;
}

const PREFIX = "bloom_";
/** The names that the audit and the log use when no named key was shown. */
const TAKEN = new Set([
  "admin",
  "api",
  "membridge",
  "operator",
  "router",
  "runtime",
  "runtime_api_key",
  "runtime_api_key_previous",
]);
/** How often the time of the last use is written. */
const USED_EVERY_MS = 60_000;

const shown = {
  name: apiKeys.name,
  role: apiKeys.role,
  created_at: apiKeys.created_at,
  last_used_at: apiKeys.last_used_at,
  revoked_at: apiKeys.revoked_at,
};

/** True in SQL for a key whose last use is not written, or was written some time ago. */
const usedLongAgo = sql<boolean>`coalesce(${apiKeys.last_used_at}, 0) < ${nowMs} - ${USED_EVERY_MS}`;

/**
 * Creates a key of 256 random bits and gives it, which is possible only now. A name may have two valid keys with the same role. Conflict: it has two
 * already, or one with another role, or the audit uses the name for something else.
 */
export async function createKey(db: Db, caller: Caller | undefined, name: string, role: Role): Promise<string> {
  if (TAKEN.has(name.toLowerCase()))
    throw new Conflict(`The name "${name}" has another meaning in the audit log; choose another name for the key.`);
  const key = PREFIX + randomBytes(32).toString("base64url");
  try {
    await inTransaction(db, async (tx) => {
      const slot = await freeSlot(tx, name, role);
      await tx.insert(apiKeys).values({ id: newId(), name, slot, role, key_sha256: sha256Of(key), created_at: nowMs });
      await audit(tx, keyFact("key_created", name, `Role: ${role}`, caller));
    });
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new Conflict(`Another key "${name}" was made at the same moment; look at the list, and try again.`);
  }
  return key;
}

async function freeSlot(tx: Db, name: string, role: Role): Promise<number> {
  const valid = await tx
    .select({ slot: apiKeys.slot, role: apiKeys.role })
    .from(apiKeys)
    .where(and(eq(apiKeys.name, name), isNull(apiKeys.revoked_at)))
    // Locks these keys: if one were revoked meanwhile, another call could give the name another role.
    .for("update");
  const other = valid.find((key) => key.role !== role);
  if (other)
    throw new Conflict(`The valid key "${name}" has the role ${other.role}; revoke it first, or take another name.`);
  const free = [1, 2].find((slot) => valid.every((key) => key.slot !== slot));
  if (free === undefined)
    throw new Conflict(`There are two valid keys "${name}" already; revoke the older one, or take another name.`);
  return free;
}

/** All keys that were ever made, the oldest first. */
export function listKeys(db: Db): Promise<NamedKey[]> {
  return db.select(shown).from(apiKeys).orderBy(asc(apiKeys.created_at), asc(apiKeys.id));
}

/**
 * Revokes the valid keys of this name, or only the older of two, and gives how many that were. NotFound: there is no such key.
 */
export async function revokeKey(
  db: Db,
  caller: Caller | undefined,
  name: string,
  { older = false }: { older?: boolean } = {},
): Promise<number> {
  const isNone = `There is no valid key "${name}".`;
  // PostgreSQL fails on a name with a NUL, which no key has.
  if (!KEY_NAME.test(name)) throw new NotFound(isNone);
  return inTransaction(db, async (tx) => {
    const valid = await tx
      .select({ id: apiKeys.id })
      .from(apiKeys)
      .where(and(eq(apiKeys.name, name), isNull(apiKeys.revoked_at)))
      .orderBy(asc(apiKeys.created_at), asc(apiKeys.id))
      .for("update");
    if (valid.length === 0) throw new NotFound(isNone);
    if (older && valid.length === 1)
      throw new NotFound(`There is only one valid key "${name}", and no older one beside it.`);
    const ids = (older ? valid.slice(0, 1) : valid).map(({ id }) => id);
    await tx.update(apiKeys).set({ revoked_at: nowMs }).where(inArray(apiKeys.id, ids));
    await audit(
      tx,
      ...ids.map(() => keyFact("key_revoked", name, older ? "Revoked the older of two" : "Revoked", caller)),
    );
    return ids.length;
  });
}

/** Which of the keys with these ids are revoked. */
export async function findRevoked(db: Db, ids: string[]): Promise<string[]> {
  const rows = await db
    .select({ id: apiKeys.id })
    .from(apiKeys)
    .where(and(inArray(apiKeys.id, ids), isNotNull(apiKeys.revoked_at)));
  return rows.map(({ id }) => id);
}

/**
 * Finds the valid key with this text, and records its use where the database takes that within a second or so. The key is found by its hash, so that
 * the time that this takes says nothing about any key.
 */
export async function findKeyAndRecordUse(
  db: Db,
  key: string,
): Promise<{ id: string; name: string; role: Role } | undefined> {
  if (!key.startsWith(PREFIX)) return undefined;
  const isIt = and(eq(apiKeys.key_sha256, sha256Of(key)), isNull(apiKeys.revoked_at));
  const [found] = await db
    .select({ name: apiKeys.name, role: apiKeys.role, id: apiKeys.id, usedLongAgo })
    .from(apiKeys)
    .where(isIt);
  if (!found) return undefined;
  const isUsed = and(eq(apiKeys.id, found.id), usedLongAgo);
  // Every call waits for its key. While its row cannot be changed, the use is left to a later call.
  if (found.usedLongAgo)
    await forNote(db)
      .transaction((tx) => tx.update(apiKeys).set({ last_used_at: nowMs }).where(isUsed), { waitsFor: "note" })
      .catch((error: unknown) => {
        if (!isDatabaseUnavailable(error)) throw error;
        db.log.debug({ err: error, key: found.name }, "the use of a key was not recorded");
      });
  return { id: found.id, name: found.name, role: found.role };
}

/** `caller` is undefined for `npm run key`, which the operator of the service calls. */
const keyFact = (action: AuditAction, name: string, detail: string, caller?: Caller): AuditFact => ({
  action,
  entity_type: "api_key",
  entity_id: name,
  actor: actorOf(caller, "operator"),
  detail,
});
