import { sql } from "drizzle-orm";
import type { RegisterWorker } from "../contract/requests.ts";
import type { WorkerWithLoad } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { getWorker } from "./workers.ts";

export interface Registration {
  worker: WorkerWithLoad;
  /** The name was not known before. */
  isNew: boolean;
}

/**
 * Registers a worker under its name, or takes down what a known one says of itself now. A known one keeps its `url` and the texts about
 * its agent when none are sent, and its `registered_at`, `obs_count` and `db_sha`. Registering is a sign of life.
 */
export function registerWorker(db: Db, { name, ...self }: RegisterWorker): Promise<Registration> {
  const { url = "", agent_version, os_info, install_method, ...always } = self;
  const sent = Object.entries({ url, agent_version, os_info, install_method }).filter(([, value]) => value !== "");
  return inTransaction(db, async (tx) => {
    const said = { ...always, ...Object.fromEntries(sent), last_heartbeat: nowMs, self_registered: true };
    const [row] = await tx
      .insert(workers)
      .values({ id: name, node_id: name, registered_at: nowMs, ...said })
      .onConflictDoUpdate({ target: workers.id, set: said })
      // xmax is 0 in a row that was inserted, and the updating transaction in one that was there.
      .returning({ isNew: sql<boolean>`xmax = 0` });
    const isNew = row?.isNew ?? false;
    await audit(tx, {
      action: isNew ? "worker_registered" : "worker_updated",
      entity_type: "worker",
      entity_id: name,
      actor: "api",
      detail: `Worker ${name} registered, status=${self.status}, max_concurrency=${self.capabilities.max_concurrency}`,
    });
    return { worker: await getWorker(tx, name), isNew };
  });
}
