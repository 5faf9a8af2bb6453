import { and, eq, gt, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/schema.ts";

/** From the third refusal in a row on, a worker is left alone: for a minute, then for twice as long each time, up to five. */
const REFUSALS = 3;
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 300_000;

/** Its agent has refused too often lately, and is left alone. */
export const isPaused = sql`coalesce(${workers.paused_until} > ${nowMs}, false)`;

/** Its agent may be called, as far as is known. Only those who choose a worker by themselves ask. */
export const takesCalls = sql`(not ${isPaused} and ${workers.answered_by} is null)`;

/** The worker's agent refused a task. While it is left alone already, that is what it is left alone for: many calls may have begun before. */
export async function noteRefused(db: Db, workerId: string): Promise<void> {
  const count = sql`${workers.refusals} + 1`;
  const pause = sql`least(${LONGEST_PAUSE_MS}, ${FIRST_PAUSE_MS} * 2 ^ least(${count} - ${REFUSALS}, 10))::bigint`;
  await db
    .update(workers)
    .set({
      refusals: count,
      paused_until: sql`case when ${count} >= ${REFUSALS} then ${nowMs} + ${pause} else ${workers.paused_until} end`,
    })
    .where(and(eq(workers.id, workerId), takesCalls));
}

/** The worker's agent took a task. */
export async function noteAccepted(db: Db, workerId: string): Promise<void> {
  await db
    .update(workers)
    .set({ refusals: 0, paused_until: null })
    .where(and(eq(workers.id, workerId), gt(workers.refusals, 0)));
}
