import { and, eq, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { leases, llmTasks, workers } from "../db/schema.ts";
import { inTransaction, StaleView } from "../db/transaction.ts";
import { countActiveLeases } from "../fleet/capacity.ts";
import { workerNotFound } from "../fleet/workers.ts";
import { expireLeases } from "./expire.ts";

/**
 * Forgets the worker. Its active leases end at once and their tasks go back to the queue (or dead, by the attempts rule): nothing waits
 * for a worker that is gone. NotFound: no such worker.
 */
export function removeWorker(db: Db, id: string): Promise<void> {
  return inTransaction(db, async (tx) => {
    const held = await tx
      .select({ id: llmTasks.id })
      .from(llmTasks)
      .innerJoin(leases, eq(leases.task_id, llmTasks.id))
      .where(and(eq(leases.worker_id, id), eq(leases.status, "active")))
      .orderBy(llmTasks.id)
      .for("no key update", { of: llmTasks });
    const [removed] = await tx.delete(workers).where(eq(workers.id, id)).returning({ id: workers.id });
    if (!removed) throw workerNotFound();
    await expireLeases(
      tx,
      held.map((task) => task.id),
      sql`${leases.worker_id} = ${id}`,
      `worker ${id} was removed`,
    );
    // It was granted another task before its row was locked; that task must be locked first, so begin again.
    if ((await countActiveLeases(tx, id)) > 0)
      throw new StaleView(`Worker ${id} was leased another task while it was removed.`);
    await audit(tx, {
      action: "worker_removed",
      entity_type: "worker",
      entity_id: id,
      actor: "admin",
      detail: `Worker ${id} unregistered`,
    });
  });
}
