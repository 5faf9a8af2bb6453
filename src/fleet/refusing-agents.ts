import { and, eq, gt, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { growingMs } from "./worker-rest.ts";

/** From the third refusal in a row on, a worker's agent is not called: for a minute, and after each further refusal for twice as long, up to five. */
const REFUSALS = 3;
const FIRST_PAUSE_MS = 60_000;

/** True in SQL for a worker whose agent has refused too often lately, and is not called for a while. */
export const isPaused = sql`coalesce(${workers.paused_until} > ${nowMs}, false)`;

/** True in SQL for a worker whose agent may be called. A caller that names a worker is not bound by this, only the service's own choice is. */
export const takesCalls = sql`(not ${isPaused} and ${workers.answered_by} is null)`;

/** Records that the worker's agent refused a task. A refusal during a pause does not count, since its call began before the pause. */
export async function recordRefusal(db: Db, workerId: string): Promise<void> {
  const count = sql`${workers.refusals} + 1`;
  const pause = growingMs(FIRST_PAUSE_MS, sql`${count} - ${REFUSALS}`);
  await db
    .update(workers)
    .set({
      refusals: count,
      paused_until: sql`case when ${count} >= ${REFUSALS} then ${nowMs} + ${pause} else ${workers.paused_until} end`,
    })
    .where(and(eq(workers.id, workerId), takesCalls));
}

/** Records that the worker's agent accepted a task: its refusals are forgotten. */
export async function recordAcceptance(db: Db, workerId: string): Promise<void> {
  await db
    .update(workers)
    .set({ refusals: 0, paused_until: null })
    .where(and(eq(workers.id, workerId), gt(workers.refusals, 0)));
}
