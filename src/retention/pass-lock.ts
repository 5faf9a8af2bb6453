/** The lock that keeps the removal of old records to one pass at a time, over all instances. */
import { and, eq, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { retention } from "../db/retention-table.ts";

/** The name of the one row. */
export const RETENTION = "retention";
/** A pass renews its lock before each archive, which takes seconds. The lock of a pass that died ends after this time. */
const LOCK_MS = 300_000;

/**
 * Takes the lock for the pass `id`, or renews it. False: another pass holds it. The lock saves double work only: two passes at the same time would
 * archive tasks twice, and remove them once.
 */
export async function acquirePassLock(db: Db, id: string): Promise<boolean> {
  const held = { held_by: id, held_until: sql`${nowMs} + ${LOCK_MS}` };
  const taken = await db
    .insert(retention)
    .values({ name: RETENTION, ...held })
    .onConflictDoUpdate({
      target: retention.name,
      set: held,
      setWhere: sql`${retention.held_by} = ${id} or ${retention.held_until} < ${nowMs}`,
    })
    .returning({ name: retention.name });
  return taken.length > 0;
}

/** Gives the lock back. `isDone`: the pass came to its end, so that its time is written down. */
export async function releasePassLock(db: Db, id: string, isDone: boolean): Promise<void> {
  await db
    .update(retention)
    .set({ held_by: null, held_until: 0, ...(isDone && { passed_at: nowMs }) })
    .where(and(eq(retention.name, RETENTION), eq(retention.held_by, id)));
}
