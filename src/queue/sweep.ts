import { and, asc, eq, lte } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { type Expired, expireLeases, NONE_EXPIRED } from "./expire.ts";

/** Tasks in one transaction: enough to be quick, few enough that nobody waits long for a lock. */
const BATCH = 200;

/**
 * Ends every lease that is overdue now, in short transactions, and gives what it did. Tasks that somebody else has locked (another
 * instance's sweep, a heartbeat just arriving) are left for the next pass, so sweeps may run everywhere at once.
 */
export async function sweepOnce(db: Db): Promise<Expired> {
  // Most passes end here, without a transaction.
  if (!(await isAnyOverdue(db))) return NONE_EXPIRED;
  const total = { ...NONE_EXPIRED };
  for (;;) {
    const swept = await inTransaction(db, sweepBatch);
    total.expired += swept.expired;
    total.requeued += swept.requeued;
    total.dead += swept.dead;
    total.cancelled += swept.cancelled;
    if (swept.expired === 0) return total;
  }
}

const overdue = lte(leases.expires_at, nowMs);

async function isAnyOverdue(db: Db): Promise<boolean> {
  const found = await db
    .select({ id: leases.id })
    .from(leases)
    .where(and(eq(leases.status, "active"), overdue))
    .limit(1);
  return found.length > 0;
}

async function sweepBatch(tx: Db): Promise<Expired> {
  const tasks = await tx
    .select({ id: llmTasks.id })
    .from(leases)
    .innerJoin(llmTasks, eq(llmTasks.id, leases.task_id))
    .where(and(eq(leases.status, "active"), overdue))
    .orderBy(asc(leases.expires_at))
    .limit(BATCH)
    .for("no key update", { of: llmTasks, skipLocked: true });
  return expireLeases(
    tx,
    tasks.map((task) => task.id),
    overdue,
    "no heartbeat before it was overdue",
  );
}
