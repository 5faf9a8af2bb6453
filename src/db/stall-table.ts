/** What the alarm for a stalled queue remembers. See `task-tables.ts` for what holds for all tables. */
import { boolean, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";

/**
 * The table has one row: the task that is due for longest, since when it is the oldest, and whether its
 * stall was told (queue/tell-queue-stall.ts).
 */
export const queueStall = pgTable("runtime_queue_head", {
  name: text().primaryKey(),
  task_id: uuid().notNull(),
  since: epochMs("since").notNull(),
  is_told: boolean().notNull(),
});
