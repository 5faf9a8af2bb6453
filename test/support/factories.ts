/** Rows made through the service's own calls; a test names only the fields that matter to it. */

import { NOBODY } from "../../src/caller.ts";
import { completeTaskBody } from "../../src/contract/complete-task.ts";
import { createTaskBody } from "../../src/contract/create-task.ts";
import type { Lease, Task, WorkerWithLoad } from "../../src/contract/record-types.ts";
import * as requests from "../../src/contract/requests.ts";
import type { Db } from "../../src/db/client.ts";
import { createTask } from "../../src/queue/create.ts";
import { leaseTask } from "../../src/queue/lease-task.ts";
import { registerWorker } from "../../src/queue/register-worker.ts";

let made = 0;

export async function aTask(db: Db, fields: Record<string, unknown> = {}): Promise<Task> {
  made += 1;
  const defaults = { context_id: `context-${made}`, agent_slug: "writer", prompt: "Write a haiku." };
  const { task } = await createTask(db, NOBODY, createTaskBody.parse({ ...defaults, ...fields }));
  return task;
}

export async function aWorker(db: Db, fields: Record<string, unknown> = {}): Promise<WorkerWithLoad> {
  made += 1;
  const { worker } = await registerWorker(
    db,
    NOBODY,
    requests.registerWorkerBody.parse({ name: `worker-${made}`, ...fields }),
  );
  return worker;
}

/** A task that a worker of its own holds under a lease. */
export async function aLeasedTask(
  db: Db,
  {
    task: taskFields = {},
    worker: workerFields = {},
    ...lease
  }: { task?: object; worker?: object; ttl_seconds?: number } = {},
): Promise<{ task: Task; lease: Lease; worker: WorkerWithLoad }> {
  const task = await aTask(db, { ...taskFields });
  const worker = await aWorker(db, { ...workerFields });
  const grant = await leaseTask(db, NOBODY, task.id, requests.leaseTaskBody.parse({ worker_id: worker.id, ...lease }));
  return { task, lease: grant.lease, worker };
}

/** Leases the task to this worker, or to whichever the router chooses. */
export const leaseTo = (db: Db, taskId: string, workerId?: string) =>
  leaseTask(db, NOBODY, taskId, { worker_id: workerId, ttl_seconds: undefined });

export const completion = (fields: Record<string, unknown> = {}) =>
  completeTaskBody.parse({ status: "success", output: "the output", metrics: { duration_ms: 5 }, ...fields });
