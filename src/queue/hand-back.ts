import { setTimeout as delay } from "node:timers/promises";
import { and, eq, inArray } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases } from "../db/schema.ts";
import { Refusal } from "../errors.ts";
import { releaseTask } from "./release.ts";

/** A statement that was cut off may commit a moment later, and the database may be away for long: then the leases end by themselves. */
const LOOK_AFTER_MS = [0, 1_000, 4_000, 15_000, 40_000, 60_000, 120_000];

/**
 * Gives what `grant` gives. When that fails, its statement may have granted all the same, and nobody would know of the leases: they are handed
 * back. `leaseIds` are those that it was given to grant. Throws what `grant` throws, at once.
 */
export async function orHandBack<T>(db: Db, leaseIds: string[], grant: () => Promise<T>): Promise<T> {
  try {
    return await grant();
  } catch (error) {
    // A refusal granted nothing.
    if (!(error instanceof Refusal)) void handBack(db, leaseIds, "the answer of the database was lost");
    throw error;
  }
}

/**
 * Hands back, unstarted and with their attempts, the tasks that are held under these leases, since nobody has heard of them. Looks at once,
 * and for some minutes where it finds none yet or the database is away. What was started or has ended stays as it is. Never rejects.
 */
export async function handBack(db: Db, leaseIds: string[], reason: string): Promise<void> {
  const about = { requestId: db.caller?.requestId, reason };
  for (const afterMs of LOOK_AFTER_MS) {
    await delay(afterMs, undefined, { ref: false });
    try {
      const tasks = await handBackNow(db, leaseIds, reason);
      if (tasks > 0) return db.log.info({ ...about, tasks }, "handed back what was granted to nobody");
    } catch (error) {
      db.log.debug({ ...about, err: error }, "what was granted to nobody is not handed back yet");
    }
  }
}

async function handBackNow(db: Db, leaseIds: string[], reason: string): Promise<number> {
  const held = await db
    .select({ id: leases.id, taskId: leases.task_id })
    .from(leases)
    .where(and(inArray(leases.id, leaseIds), eq(leases.status, "active")));
  for (const { id, taskId } of held)
    await releaseTask(db, taskId, { lease_id: id, reason }).catch((error) => {
      // It was started, or has ended, since.
      if (!(error instanceof Refusal)) throw error;
    });
  return held.length;
}
