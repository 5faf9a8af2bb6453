import { and, asc, eq, lte, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { type Expired, expireLeases, NONE_EXPIRED } from "./expire-leases.ts";
import { expireQueued } from "./expire-queued.ts";

/** How many overdue leases one look finds. A look reads all active leases, so that few large ones cost less than many small ones. */
const FOUND_AT_ONCE = 5_000;
/** How many tasks one transaction handles: enough to be quick, few enough that nobody waits long for a lock. */
const BATCH = 200;

/**
 * Makes one pass of the sweep, and gives counts of what it did: it ends every lease that is overdue now and every task that may not wait any longer,
 * in short transactions. A task that is locked, by another instance's sweep or by a heartbeat that just arrives, is left for the next pass. All
 * instances may sweep at once.
 */
export async function sweepOnce(db: Db): Promise<Expired> {
  const total = { ...NONE_EXPIRED, dead: await expireQueued(db) };
  for (;;) {
    const taskIds = await findOverdue(db);
    const before = total.expired;
    for (let from = 0; from < taskIds.length; from += BATCH) {
      const swept = await inTransaction(db, (tx) => sweepBatch(tx, taskIds.slice(from, from + BATCH)));
      total.expired += swept.expired;
      total.requeued += swept.requeued;
      total.dead += swept.dead;
      total.cancelled += swept.cancelled;
    }
    if (taskIds.length < FOUND_AT_ONCE || total.expired === before) return total;
  }
}

const overdue = lte(leases.expires_at, nowMs);

/** The tasks of the leases that are overdue for longest. Most passes find none, and end here. */
async function findOverdue(db: Db): Promise<string[]> {
  const found = await db
    .select({ taskId: leases.task_id })
    .from(leases)
    .where(and(eq(leases.status, "active"), overdue))
    .orderBy(asc(leases.expires_at))
    .limit(FOUND_AT_ONCE);
  return found.map(({ taskId }) => taskId);
}

async function sweepBatch(tx: Db, taskIds: string[]): Promise<Expired> {
  const locked = await tx
    .select({ id: llmTasks.id })
    .from(llmTasks)
    .where(sql`${llmTasks.id} = any(${sql.param(taskIds)}::uuid[])`)
    .for("no key update", { skipLocked: true });
  return expireLeases(
    tx,
    locked.map((task) => task.id),
    overdue,
    "no heartbeat before it was overdue",
  );
}
