import { eq, sql } from "drizzle-orm";
import type { PgUpdateSetSource } from "drizzle-orm/pg-core";
import type { Caller } from "../caller.ts";
import type { WorkerWithLoad } from "../contract/record-types.ts";
import type { DrainWorker } from "../contract/requests.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { AuditAction } from "../db/audit-actions.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { getWorker, workerNotFound } from "./workers.ts";

/**
 * Drains the worker: it gets no new work for `minutes`, or until it is resumed; its running tasks go on. To drain a drained worker again sets the
 * time and the reason anew. NotFound: no such worker.
 */
export function drainWorker(
  db: Db,
  caller: Caller | undefined,
  id: string,
  { reason, minutes }: DrainWorker,
): Promise<WorkerWithLoad> {
  const until = minutes === undefined ? sql`null::bigint` : sql`${nowMs} + ${Math.round(minutes * 60_000)}::bigint`;
  const drain = sql`jsonb_build_object('reason', ${reason}::text, 'until', ${until})`;
  const howLong = minutes === undefined ? "until it is resumed" : `for ${minutes} min`;
  return change(
    db,
    caller,
    id,
    { drain },
    "worker_drained",
    `Worker ${id} gets no new work ${howLong}${reason && `: ${reason}`}`,
  );
}

/** Ends the worker's drain and its rest, so that it gets work again, and forgets its failures. NotFound: no such worker. */
export function resumeWorker(db: Db, caller: Caller | undefined, id: string): Promise<WorkerWithLoad> {
  const free = { drain: null, rest: null, fast_failures: 0, rests: 0, troubles: 0 };
  return change(db, caller, id, free, "worker_resumed", `Worker ${id} gets work again`);
}

function change(
  db: Db,
  caller: Caller | undefined,
  id: string,
  to: PgUpdateSetSource<typeof workers>,
  action: AuditAction,
  detail: string,
) {
  return inTransaction(db, async (tx) => {
    const changed = await tx.update(workers).set(to).where(eq(workers.id, id)).returning({ id: workers.id });
    if (changed.length === 0) throw workerNotFound();
    await audit(tx, { action, entity_type: "worker", entity_id: id, actor: actorOf(caller, "admin"), detail });
    return getWorker(tx, id);
  });
}
