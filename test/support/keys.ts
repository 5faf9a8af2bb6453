import type { Db } from "../../src/db/client.ts";
import { ROLES, type Role } from "../../src/db/roles.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";

/** The header that a key is sent in. */
export const KEY_HEADER = "X-Runtime-API-Key";
/** RUNTIME_API_KEY of the services that are tested with keys. */
export const MAIN_KEY = "the key that opens everything";

/** Makes a key of each role, with the name `key-<role>`. */
export async function keyOfEachRole(db: Db): Promise<Record<Role, string>> {
  const keys = await Promise.all(
    ROLES.map(async (role) => [role, await createKey(db, undefined, `key-${role}`, role)] as const),
  );
  return Object.fromEntries(keys) as Record<Role, string>;
}
