import { and, eq, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { StaleView } from "../db/retry.ts";
import { leases, llmTasks } from "../db/task-tables.ts";
import { countActiveLeases } from "../fleet/capacity.ts";
import { expireLeases } from "./expire-leases.ts";

/**
 * Runs `change`, which locks the worker's row and says whether the worker's leases have to end. If so, all of them end at once, and their tasks
 * go where an overdue lease sends them (expire-leases.ts). The tasks are locked before the worker (lifecycle.md, invariant 4). When the
 * worker was leased another task between the two locks, the StaleView makes the transaction begin again.
 */
export async function endWorkerLeases(
  tx: Db,
  workerId: string,
  reason: string,
  change: () => Promise<boolean>,
): Promise<void> {
  const held = await tx
    .select({ id: llmTasks.id })
    .from(llmTasks)
    .innerJoin(leases, eq(leases.task_id, llmTasks.id))
    .where(and(eq(leases.worker_id, workerId), eq(leases.status, "active")))
    .orderBy(llmTasks.id)
    .for("no key update", { of: llmTasks });
  if (!(await change())) return;
  await expireLeases(
    tx,
    held.map((task) => task.id),
    sql`${leases.worker_id} = ${workerId}`,
    reason,
  );
  if ((await countActiveLeases(tx, workerId)) > 0)
    throw new StaleView(`Worker ${workerId} was leased another task meanwhile.`);
}
