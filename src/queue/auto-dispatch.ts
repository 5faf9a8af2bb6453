import type { Logger } from "pino";
import type { Db } from "../db/client.ts";
import { messageOf, Refusal } from "../errors.ts";
import { type Dispatcher, NotDispatched } from "./dispatch.ts";
import { findDispatchable } from "./find-dispatchable.ts";

const PER_PASS = 50;

/**
 * Makes one pass of automatic dispatch: dispatches the oldest due tasks to workers with an address and room, 50 at most, and gives how many it
 * began. All instances may run it at once, since the lease decides which of them dispatches a task.
 */
export async function autoDispatchOnce(
  db: Db,
  dispatcher: Dispatcher,
  runtimeUrl: string | undefined,
  log: Logger,
): Promise<number> {
  const tasks = await findDispatchable(db, PER_PASS);
  const begun = await Promise.all(
    tasks.map(async (id) => {
      try {
        const begun = await dispatcher.dispatch(id, { worker_id: undefined, ttl_seconds: undefined }, runtimeUrl);
        return begun.already === undefined;
      } catch (error) {
        if (error instanceof NotDispatched)
          log.warn({ task: id, worker: error.workerId, reason: error.message }, "not dispatched");
        // A refusal means that no worker has room, or that another instance was faster.
        else if (!(error instanceof Refusal)) log.warn({ task: id, reason: messageOf(error) }, "not dispatched");
        return false;
      }
    }),
  );
  return begun.filter(Boolean).length;
}
