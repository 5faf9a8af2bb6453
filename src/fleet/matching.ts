/**
 * Which worker may take which task. What the earlier attempts of a task decide for a claim is `isOpenTo` in queue/tasks.ts. How much room a worker
 * has is in capacity.ts, and which worker is best in router.ts.
 */
import { type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { TaskRow } from "../db/rows.ts";
import { isAccountIdle, isPaced } from "./account-pace.ts";
import { takesCalls } from "./agent-refusals.ts";
import { isResting } from "./worker-rest.ts";

/** True in SQL for a worker that an operator has drained. An expired drain counts as no drain. */
export const isDrained = sql`(${workers.drain} is not null
  and coalesce((${workers.drain} ->> 'until')::bigint > ${nowMs}, true))`;

/** True in SQL for a worker that may get new work at all, whoever asks: it is neither drained nor resting. */
export const takesNewWork = sql`(not ${isDrained} and not ${isResting})`;

/** True in SQL when the worker's `labels` contain all labels in `requires`. Both are JSON arrays. */
export function hasLabels(requires: SQLWrapper, labels: SQLWrapper = sql`${workers.labels}`): SQL {
  return sql`${requires} <@ ${labels}`;
}

/** The rule of `hasLabels` for labels that are in memory. */
export function coversLabels(labels: ReadonlySet<string>, requires: readonly string[]): boolean {
  return requires.every((label) => labels.has(label));
}

/** True in SQL for a worker that the router may choose for a task with these labels, whatever its load is. */
export function isEligible(requires: SQLWrapper): SQL {
  return sql`(${workers.status} = 'online' and ${workers.has_cli} and ${takesNewWork} and (not ${isPaced} or ${isAccountIdle})
    and ${hasLabels(requires)})`;
}

/** A column of the task that a worker is looked for, as SQL. */
export type OfTask = (column: keyof TaskRow) => SQLWrapper;

/** True in SQL unless the task is kept to another worker: with `allow_fallback` false, only the worker that had it first may have it. */
export function isNotKept(ofTask: OfTask, worker: SQLWrapper = workers.id): SQL {
  const triedBy = ofTask("tried_by");
  return sql`(${ofTask("allow_fallback")} or ${triedBy} is null or ${triedBy} = ${worker})`;
}

/** True in SQL for a worker whose agent the service may call by its own choice. */
export const isCallable = sql`(${workers.url} <> '' and ${takesCalls})`;
