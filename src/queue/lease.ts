import { and, eq, sql } from "drizzle-orm";
import type { LeaseTask } from "../contract/requests.ts";
import type { Lease, Task, WorkerWithLoad } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict, Unavailable } from "../errors.ts";
import { candidatesFor } from "../fleet/candidates.ts";
import { type Holder, lockWorker } from "../fleet/capacity.ts";
import { getTask, isDue, lockTask } from "./tasks.ts";

/** A lease lives 300 s, or as long as the task may run and a margin where that is longer: today's agents heartbeat once (invariant 10). */
const DEFAULT_TTL_SECONDS = 300;
const TTL_MARGIN_SECONDS = 30;

/**
 * A second look finds the worker that became free while others filled the first candidates. Looking on until nobody is left would make a
 * crowd fight for each place that comes free, at several transactions a try, instead of telling them that there is none.
 */
const ROUNDS = 2;

/** `worker` as it was before this lease. */
export interface Grant {
  lease: Lease;
  worker: WorkerWithLoad;
}

/**
 * Leases a queued task to `worker_id`, or to the best worker with room (fleet/candidates.ts).
 * NotFound: no such task. Conflict: it is not queued, or not due yet. Unavailable: no such worker, or nobody has room.
 */
export async function leaseTask(db: Db, taskId: string, request: LeaseTask): Promise<Grant> {
  const task = await getTask(db, taskId);
  requireQueued(task);
  const noWorker = new Unavailable("No available worker with free capacity");

  if (request.worker_id !== undefined) {
    const grant = await grantLease(db, taskId, { id: request.worker_id, named: true }, request.ttl_seconds);
    if (!grant) throw noWorker;
    return grant;
  }
  for (let round = 1; round <= ROUNDS; round++) {
    for (const id of await candidatesFor(db, task)) {
      const grant = await grantLease(db, taskId, { id, named: false }, request.ttl_seconds);
      if (grant) return grant;
    }
  }
  throw noWorker;
}

/** One transition: queued -> leased. Gives undefined, and changes nothing, when the worker cannot take it. */
function grantLease(
  db: Db,
  taskId: string,
  holder: Holder,
  ttlSeconds: number | undefined,
): Promise<Grant | undefined> {
  return inTransaction(db, async (tx) => {
    const task = await lockTask(tx, taskId);
    requireQueued(task);
    const worker = await lockWorker(tx, holder, task);
    if (!worker) return undefined;

    const ttl = ttlSeconds ?? Math.max(DEFAULT_TTL_SECONDS, Math.ceil(task.policy.timeout_sec) + TTL_MARGIN_SECONDS);
    const [lease] = await tx
      .insert(leases)
      .values({
        id: newId(),
        task_id: taskId,
        worker_id: worker.id,
        started_at: nowMs,
        expires_at: sql`${nowMs} + ${ttl * 1_000}::bigint`,
        ttl_seconds: ttl,
        status: "active",
        last_heartbeat: nowMs,
        context_id: task.context_id,
      })
      .returning();
    if (!lease) throw new Error("The insert of a lease returned no row.");
    const moved = await tx
      .update(llmTasks)
      .set({
        status: "leased",
        lease_id: lease.id,
        worker_id: worker.id,
        attempts: sql`${llmTasks.attempts} + 1`,
        progress: null,
        updated_at: nowMs,
      })
      .where(and(eq(llmTasks.id, taskId), eq(llmTasks.status, "queued"), isDue))
      .returning({ id: llmTasks.id });
    if (moved.length === 0) throw new Conflict(`Task is not due before ${task.not_before}`);
    await audit(tx, {
      action: "task_leased",
      entity_type: "lease",
      entity_id: lease.id,
      actor: "router",
      detail: `Task ${taskId} leased to worker ${worker.id}, TTL ${ttl}s`,
    });
    return { lease, worker };
  });
}

function requireQueued(task: Task): void {
  if (task.status !== "queued") throw new Conflict(`Task status is '${task.status}', expected 'queued'`);
}
