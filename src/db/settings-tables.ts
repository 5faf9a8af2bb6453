/** The tables of the saved configuration and of the named keys. */
import { sql } from "drizzle-orm";
import { check, integer, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";
import { ROLES } from "./roles.ts";

export const runtimeSettings = pgTable("runtime_settings", {
  key: text().primaryKey(),
  value: text().notNull(),
});

/** Named keys; the key itself is shown once and stored as its SHA-256, which is enough for 256 random bits. */
export const apiKeys = pgTable(
  "runtime_api_keys",
  {
    id: uuid().primaryKey(),
    name: text().notNull(),
    /** 1 or 2: a name may have two valid keys, so that one can be changed for the other without a gap. */
    slot: integer().notNull().default(1),
    role: text({ enum: ROLES }).notNull(),
    key_sha256: text().notNull().unique(),
    created_at: epochMs("created_at").notNull(),
    last_used_at: epochMs("last_used_at"),
    revoked_at: epochMs("revoked_at"),
  },
  (key) => [
    uniqueIndex("runtime_api_keys_valid_by_name").on(key.name, key.slot).where(sql`${key.revoked_at} is null`),
    check("runtime_api_keys_two_slots", sql`${key.slot} in (1, 2)`),
  ],
);
