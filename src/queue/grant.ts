import { and, eq, getTableColumns, inArray, sql } from "drizzle-orm";
import type { Lease, Task } from "../contract/views.ts";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { Conflict } from "../errors.ts";
import { isDue } from "./tasks.ts";

/** A lease lives 300 s, or as long as the task may run and a margin where that is longer: today's agents heartbeat once (invariant 10). */
const DEFAULT_TTL_SECONDS = 300;
const TTL_MARGIN_SECONDS = 30;

export interface Granted {
  task: Task;
  lease: Lease;
}

/** To whom, at whose word, and for how long; without `ttlSeconds` as long as each task needs. */
export interface Grantee {
  workerId: string;
  actor: string;
  ttlSeconds: number | undefined;
}

/**
 * queued -> leased, for each of `tasks`, in their order. `tx` must hold the locks of the tasks, which must be queued, and of the worker,
 * which must be allowed to have them. Conflict: one of them is not due yet.
 */
export async function grant(tx: Db, tasks: Task[], { workerId, actor, ttlSeconds }: Grantee): Promise<Granted[]> {
  if (tasks.length === 0) return [];
  const given = await tx
    .insert(leases)
    .values(tasks.map((task) => leaseOf(task, workerId, ttlSeconds)))
    .returning();
  const leaseOfTask = sql`(select l.id from ${leases} l where l.task_id = ${llmTasks.id} and l.status = 'active')`;
  const moved = await tx
    .update(llmTasks)
    .set({
      status: "leased",
      lease_id: leaseOfTask,
      worker_id: workerId,
      attempts: sql`${llmTasks.attempts} + 1`,
      progress: null,
      updated_at: nowMs,
    })
    .where(
      and(
        inArray(
          llmTasks.id,
          tasks.map((task) => task.id),
        ),
        eq(llmTasks.status, "queued"),
        isDue,
      ),
    )
    .returning(getTableColumns(llmTasks));
  if (moved.length !== tasks.length) throw new Conflict(`Task is not due before ${tasks[0]?.not_before}`);
  await audit(
    tx,
    ...given.map((lease) => ({
      action: "task_leased",
      entity_type: "lease",
      entity_id: lease.id,
      actor,
      detail: `Task ${lease.task_id} leased to worker ${workerId}, TTL ${lease.ttl_seconds}s`,
    })),
  );
  return tasks.flatMap(({ id }) => {
    const task = moved.find((row) => row.id === id);
    const lease = given.find((row) => row.task_id === id);
    return task && lease ? [{ task, lease }] : [];
  });
}

function leaseOf({ id, context_id, policy }: Task, worker_id: string, ttlSeconds: number | undefined) {
  const ttl = ttlSeconds ?? Math.max(DEFAULT_TTL_SECONDS, Math.ceil(policy.timeout_sec) + TTL_MARGIN_SECONDS);
  return {
    id: newId(),
    task_id: id,
    worker_id,
    started_at: nowMs,
    expires_at: sql`${nowMs} + ${ttl * 1_000}::bigint`,
    ttl_seconds: ttl,
    status: "active" as const,
    last_heartbeat: nowMs,
    context_id,
  };
}
