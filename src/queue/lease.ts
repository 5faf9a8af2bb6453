import type { LeaseTask } from "../contract/requests.ts";
import type { Lease, Task, WorkerWithLoad } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict, Unavailable } from "../errors.ts";
import { candidatesFor } from "../fleet/candidates.ts";
import { type Holder, lockWorker } from "../fleet/capacity.ts";
import { grant } from "./grant.ts";
import { getTask, lockTask } from "./tasks.ts";

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
 * Leases a queued task to `worker_id`, or to the best worker with room (fleet/candidates.ts), `withUrl` to one whose agent can be called.
 * NotFound: no such task. Conflict: it is not queued, or not due yet. Unavailable: no such worker, or nobody has room.
 */
export async function leaseTask(
  db: Db,
  taskId: string,
  request: LeaseTask,
  choice: { withUrl?: boolean } = {},
): Promise<Grant> {
  const task = await getTask(db, taskId);
  requireQueued(task);
  const noWorker = new Unavailable("No available worker with free capacity");

  if (request.worker_id !== undefined) {
    const granted = await grantLease(db, taskId, { id: request.worker_id, named: true }, request.ttl_seconds);
    if (!granted) throw noWorker;
    return granted;
  }
  for (let round = 1; round <= ROUNDS; round++) {
    for (const id of await candidatesFor(db, task, choice)) {
      const granted = await grantLease(db, taskId, { id, named: false }, request.ttl_seconds);
      if (granted) return granted;
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

    const [granted] = await grant(tx, [task], { workerId: worker.id, actor: "router", ttlSeconds });
    return granted && { lease: granted.lease, worker };
  });
}

function requireQueued({ status }: Task): void {
  if (status !== "queued") throw new Conflict(`Task status is '${status}', expected 'queued'`);
}
