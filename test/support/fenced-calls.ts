import { NOBODY } from "../../src/caller.ts";
import { completeTask, requireCompletable } from "../../src/queue/complete.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import type { TestDatabase } from "./database.ts";
import { aLeasedTask, aWorker, completion, leaseTo } from "./factories.ts";
import { inDatabase } from "./output-storage.ts";

/** How a call under a lease that does not hold the task is refused. */
export const STALE = /^Lease .* does not hold this task/;

/** What tests of calls that name their lease ask of the service. */
export function fencedCalls({ db, query, makeOverdue }: TestDatabase) {
  return {
    /** Completes the task as the route does: under the lease, or under the task's current one. */
    complete: async (taskId: string, lease_id?: string, fields = {}) => {
      const task = await requireCompletable(db, taskId, lease_id);
      return completeTask(db, NOBODY, inDatabase, task.id, completion({ ...fields, lease_id }));
    },
    /** Everything that a refused call must leave as it was. */
    stateOf: (taskId: string) =>
      query(
        `select t.*, (select jsonb_agg(l order by id) from leases l where task_id = t.id) as leases,
           (select count(*) from runtime_artifacts where task_id = t.id) as artifacts,
           (select count(*) from llm_results where task_id = t.id) as results,
           (select count(*) from audit_logs where entity_id = t.id::text) as entries
         from llm_tasks t where t.id = $1`,
        [taskId],
      ),
    /** A task whose first lease was swept and that another worker holds now. */
    aTaskWithTwoHolders: async () => {
      const first = await aLeasedTask(db);
      await makeOverdue(first.task.id);
      await sweepOnce(db);
      const other = await aWorker(db);
      return { ...first, other, now: (await leaseTo(db, first.task.id, other.id)).lease };
    },
  };
}
