import { setTimeout as delay } from "node:timers/promises";
import { and, eq, inArray } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";
import { leases } from "../db/task-tables.ts";
import { Refusal } from "../errors.ts";
import { releaseTask } from "./release-task.ts";

/**
 * The pause before each look for leases whose worker was never told, four minutes in all. A statement that was cut off may commit a moment later,
 * and the database may be away for long. A lease that the last look does not find ends when it is overdue.
 */
const PAUSES_MS = [0, 1_000, 4_000, 15_000, 40_000, 60_000, 120_000];

/**
 * Runs `lease`, which leases tasks under `leaseIds`, and gives what it gives. When it fails, the database may have leased the tasks all the same
 * while its answer was lost; they are then released in the background, since no worker knows of them. Throws what `lease` throws, at once.
 */
export async function releaseIfAnswerLost<T>(
  db: Db,
  caller: Caller | undefined,
  leaseIds: string[],
  lease: () => Promise<T>,
): Promise<T> {
  try {
    return await lease();
  } catch (error) {
    // A refusal leased nothing.
    if (!(error instanceof Refusal))
      void releaseUndelivered(db, caller, leaseIds, "the answer of the database was lost");
    throw error;
  }
}

/**
 * Releases the tasks that are held under `leaseIds`, whose worker was never told of them: they are queued again with their attempts given back.
 * Looks at once, and again for four minutes while it finds no such lease or the database is away. A task that was started or has ended stays as
 * it is. Never rejects.
 */
export async function releaseUndelivered(
  db: Db,
  caller: Caller | undefined,
  leaseIds: string[],
  reason: string,
): Promise<void> {
  const about = { requestId: caller?.requestId, reason };
  for (const pauseMs of PAUSES_MS) {
    await delay(pauseMs, undefined, { ref: false });
    try {
      const tasks = await releaseHeld(db, caller, leaseIds, reason);
      if (tasks > 0) return db.log.info({ ...about, tasks }, "released tasks whose worker was never told of them");
    } catch (error) {
      db.log.debug({ ...about, err: error }, "tasks whose worker was never told of them are not released yet");
    }
  }
}

async function releaseHeld(db: Db, caller: Caller | undefined, leaseIds: string[], reason: string): Promise<number> {
  const held = await db
    .select({ id: leases.id, taskId: leases.task_id })
    .from(leases)
    .where(and(inArray(leases.id, leaseIds), eq(leases.status, "active")));
  for (const { id, taskId } of held)
    await releaseTask(db, caller, taskId, { lease_id: id, reason }).catch((error) => {
      // The task was started, or has ended, meanwhile.
      if (!(error instanceof Refusal)) throw error;
    });
  return held.length;
}
