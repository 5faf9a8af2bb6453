import { eq, sql } from "drizzle-orm";
import type { RestWorker } from "../contract/requests.ts";
import type { WorkerWithLoad } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { getWorker } from "./workers.ts";

/**
 * Has the worker rest: it gets no new work for so many seconds from now, since it says that it can do none. A rest for another reason that ends
 * later stays as it is. NotFound: no such worker.
 */
export function restWorker(db: Db, id: string, { reason, seconds }: RestWorker): Promise<WorkerWithLoad> {
  return inTransaction(db, async (tx) => {
    const until = sql`${nowMs} + ${seconds * 1_000}::bigint`;
    const said = reason || "it says that it can do no work";
    const rest = sql`jsonb_build_object('kind', 'worker', 'reason', ${said}::text, 'until', ${until})`;
    const isLonger = sql`coalesce((${workers.rest} ->> 'until')::bigint >= ${until}, ${workers.rest} is not null)
      and ${workers.rest} ->> 'kind' <> 'worker'`;
    const changed = await tx
      .update(workers)
      .set({ rest })
      .where(sql`${eq(workers.id, id)} and not (${isLonger}) is true`)
      .returning({ id: workers.id });
    if (changed.length === 0) return await getWorker(tx, id);
    const detail = `Worker ${id} rests for ${seconds} s: ${said}`;
    await audit(tx, { action: "worker_rested", entity_type: "worker", entity_id: id, actor: id, detail });
    return await getWorker(tx, id);
  });
}
