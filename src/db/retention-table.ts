import { bigint, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";

/** Who removes old records now, and what was removed so far: one row, which the first removal makes. */
export const retention = pgTable("runtime_retention", {
  name: text().primaryKey(),
  /** The pass that removes, and until when others leave the work to it. */
  held_by: uuid(),
  held_until: epochMs("held_until").notNull(),
  tasks_removed: bigint({ mode: "number" }).notNull().default(0),
  audit_entries_removed: bigint({ mode: "number" }).notNull().default(0),
  /** When a pass last came to its end. */
  passed_at: epochMs("passed_at"),
});
