import { sql } from "drizzle-orm";
import { HELD_STATUSES, OPEN_STATUSES, type TaskStatus } from "./statuses.ts";

/*
 * SQL names a single status as a literal and not as a parameter: an index of the tasks of one status serves a query only if the planner sees that it
 * asks for that status. In TypeScript, the type `TaskStatus` checks each name.
 */

const statusList = (statuses: readonly TaskStatus[]) => sql.raw(statuses.map((status) => `'${status}'`).join(", "));

/** The statuses of held tasks, and of those that have not ended, as a list for SQL's `in (…)`. Indexes and queries must have the same text. */
export const heldStatuses = statusList(HELD_STATUSES);
export const openStatuses = statusList(OPEN_STATUSES);
