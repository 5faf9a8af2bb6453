/** The turn to remove old records, which one pass has at a time over all instances. */
import { and, eq, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { retention } from "../db/retention-table.ts";

/** The name of the one row. */
export const RETENTION = "retention";
/** A pass takes its turn again before each archive, which takes seconds. After so long, a pass that is gone is in nobody's way. */
const TURN_MS = 300_000;

/**
 * Takes the turn for the pass `id`, or has it last longer. False: another pass has it. The turn saves double work only: two passes at the same
 * time would archive tasks twice, and remove them once.
 */
export async function takeTurn(db: Db, id: string): Promise<boolean> {
  const turn = { held_by: id, held_until: sql`${nowMs} + ${TURN_MS}` };
  const taken = await db
    .insert(retention)
    .values({ name: RETENTION, ...turn })
    .onConflictDoUpdate({
      target: retention.name,
      set: turn,
      setWhere: sql`${retention.held_by} = ${id} or ${retention.held_until} < ${nowMs}`,
    })
    .returning({ name: retention.name });
  return taken.length > 0;
}

/** Gives the turn back. `isDone`: the pass came to its end, so that its time is written down. */
export async function endTurn(db: Db, id: string, isDone: boolean): Promise<void> {
  await db
    .update(retention)
    .set({ held_by: null, held_until: 0, ...(isDone && { passed_at: nowMs }) })
    .where(and(eq(retention.name, RETENTION), eq(retention.held_by, id)));
}
