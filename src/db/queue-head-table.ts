/** The task at the head of the queue. See `task-tables.ts` for what holds for all tables. */
import { boolean, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";

/** The task that is due for longest, since when it is that, and whether the stall was told: one row (queue/tell-stall.ts). */
export const queueHead = pgTable("runtime_queue_head", {
  name: text().primaryKey(),
  task_id: uuid().notNull(),
  since: epochMs("since").notNull(),
  is_told: boolean().notNull(),
});
