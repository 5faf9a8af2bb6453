import { eq } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { workerNotFound } from "../fleet/workers.ts";
import { endWorkerLeases } from "./end-worker-leases.ts";

/** Removes the worker and ends its leases at once, so that no task waits for a worker that is gone. NotFound: no such worker. */
export function removeWorker(db: Db, caller: Caller | undefined, id: string): Promise<void> {
  return inTransaction(db, async (tx) => {
    await endWorkerLeases(tx, id, `worker ${id} was removed`, async () => {
      const [removed] = await tx.delete(workers).where(eq(workers.id, id)).returning({ id: workers.id });
      if (!removed) throw workerNotFound();
      return true;
    });
    await audit(tx, {
      action: "worker_removed",
      entity_type: "worker",
      entity_id: id,
      actor: actorOf(caller, "admin"),
      detail: `Worker ${id} unregistered`,
    });
  });
}
