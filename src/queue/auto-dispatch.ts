import type { Logger } from "pino";
import type { Db } from "../db/client.ts";
import { messageOf, Refusal } from "../errors.ts";
import { type Dispatcher, NotDispatched } from "./dispatch.ts";
import { placeable } from "./placeable.ts";

const PER_PASS = 50;

/**
 * Dispatches the oldest due tasks, as long as workers with an address have room; gives how many it began. It may run in every instance
 * at once: the lease decides who dispatches a task.
 */
export async function autoDispatchOnce(
  db: Db,
  dispatcher: Dispatcher,
  runtimeUrl: string | undefined,
  log: Logger,
): Promise<number> {
  const tasks = await placeable(db, PER_PASS);
  const begun = await Promise.all(
    tasks.map(async (id) => {
      try {
        const begun = await dispatcher.dispatch(id, { worker_id: undefined, ttl_seconds: undefined }, runtimeUrl);
        return begun.already === undefined;
      } catch (error) {
        if (error instanceof NotDispatched)
          log.warn({ task: id, worker: error.workerId, reason: error.message }, "not dispatched");
        // Nobody has room, or another instance was faster.
        else if (!(error instanceof Refusal)) log.warn({ task: id, reason: messageOf(error) }, "not dispatched");
        return false;
      }
    }),
  );
  return begun.filter(Boolean).length;
}
