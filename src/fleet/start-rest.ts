/** Starts a rest that the worker itself asks for, or one because its CLI gets no access or is not there. */
import { eq, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { WorkerWithLoad } from "../contract/record-types.ts";
import type { RestWorker } from "../contract/requests.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Rest } from "../db/json-types.ts";
import { inTransaction } from "../db/transaction.ts";
import { getWorker } from "./workers.ts";

/**
 * Has the worker rest: it gets no new work for the next `seconds`, since it says that it can do none. A rest for another reason that ends later stays
 * as it is. NotFound: no such worker.
 */
export function restWorker(
  db: Db,
  caller: Caller | undefined,
  id: string,
  { reason, seconds }: RestWorker,
): Promise<WorkerWithLoad> {
  return inTransaction(db, async (tx) => {
    const until = sql`${nowMs} + ${seconds * 1_000}::bigint`;
    const why = reason || "it says that it can do no work";
    const rest = sql`jsonb_build_object('kind', 'worker', 'reason', ${why}::text, 'until', ${until})`;
    const isLonger = sql`coalesce((${workers.rest} ->> 'until')::bigint >= ${until}, ${workers.rest} is not null)
      and ${workers.rest} ->> 'kind' <> 'worker'`;
    const changed = await tx
      .update(workers)
      .set({ rest })
      .where(sql`${eq(workers.id, id)} and not (${isLonger}) is true`)
      .returning({ id: workers.id });
    if (changed.length === 0) return await getWorker(tx, id);
    const detail = `Worker ${id} rests for ${seconds} s: ${why}`;
    await audit(tx, {
      action: "worker_rested",
      entity_type: "worker",
      entity_id: id,
      actor: actorOf(caller, id),
      detail,
    });
    return await getWorker(tx, id);
  });
}

/**
 * The worker gets no new work until it registers anew or somebody resumes it: its CLI's account gives no access (a login, or what is
 * paid for), or the CLI is not there. What it rested for before counts no more. An unknown worker is no fault.
 */
export async function restUntilRegistered(tx: Db, id: string, kind: "auth" | "no_cli", message: string): Promise<void> {
  const reason = `${kind === "auth" ? "its CLI's account gives no access" : "its CLI is not there"}: ${message}`;
  const rest: Rest = { kind, reason, until: null };
  const noCli = { capabilities: sql`${workers.capabilities} || '{"claude_cli": false}'::jsonb` };
  const changed = await tx
    .update(workers)
    .set({ rest, ...(kind === "no_cli" && noCli) })
    .where(sql`${eq(workers.id, id)} and ${workers.rest} ->> 'kind' is distinct from ${kind}`)
    .returning({ id: workers.id });
  if (changed.length === 0) return;
  const detail = `Worker ${id} rests until it registers anew: ${reason}`;
  await audit(tx, { action: "worker_rested", entity_type: "worker", entity_id: id, actor: "runtime", detail });
}
