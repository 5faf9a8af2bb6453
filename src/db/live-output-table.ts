/** What running tasks print. See `task-tables.ts` for what holds for all tables. */
import { bigint, index, integer, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";

/** The tail of what a task's attempts have printed, in pieces. It goes soon after the task has ended. */
export const liveOutput = pgTable(
  "runtime_live_output",
  {
    /** Grows with each piece, whichever attempt it is of. */
    position: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    task_id: uuid().notNull(),
    lease_id: uuid().notNull(),
    /** The number that the worker gave the piece, by which a repeated one is known. */
    seq: integer().notNull(),
    text: text().notNull(),
    bytes: integer().notNull(),
    created_at: epochMs("created_at").notNull(),
  },
  (piece) => [
    // readLiveOutput, and the cut of the tail
    index("runtime_live_output_by_task").on(piece.task_id, piece.position),
    uniqueIndex("runtime_live_output_once").on(piece.lease_id, piece.seq),
  ],
);
