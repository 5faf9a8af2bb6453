import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";

/**
 * What clients have used of the limits that all instances share. PostgreSQL does not log the table: a crash or a promotion empties it, which is
 * no loss.
 */
export const rateCounts = pgTable("runtime_rate_counts", {
  /** The limit and the client's network. */
  key: text().primaryKey(),
  hits: integer().notNull(),
  ends_at: epochMs("ends_at").notNull(),
});
