import { and, eq, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { StaleView } from "../db/transaction.ts";
import { countActiveLeases } from "../fleet/capacity.ts";
import { expireLeases } from "./expire.ts";

/**
 * Runs `change`, which locks the worker's row and says whether its leases have to end; if so, they all end at once, and their tasks go
 * back to the queue, or to the dead by the attempts rule. The tasks are locked before the worker (lifecycle.md, invariant 4); a task that
 * it was granted between the two means to begin again, hence the StaleView.
 */
export async function endLeasesOf(
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
