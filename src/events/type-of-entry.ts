import { type SQL, sql } from "drizzle-orm";
import { ATTEMPT_ENDED } from "../contract/event-types.ts";
import { TYPE_OF_ACTION } from "../db/audit-actions.ts";
import { TASK_STATUSES } from "../db/statuses.ts";

const types = sql.raw(`'${JSON.stringify(TYPE_OF_ACTION)}'::jsonb`);
/** The actions by which a task can go elsewhere after an attempt: into any other state, or back into the queue. */
const wentElsewhere = sql.raw(
  [...TASK_STATUSES.filter((status) => status !== "completed"), "requeued"].map((name) => `'task_${name}'`).join(", "),
);

/**
 * In SQL, the type of the event that the audit entry `e` makes. A completion says in its entry how the attempt ended. Where that is not how the task
 * ended, the same transaction has written a second entry about the task, and the first one is `task.attempt_ended`.
 */
export const eventType: SQL = sql`case when e.action <> 'task_completed' then coalesce(${types} ->> e.action, 'other')
    when exists (
      select from audit_logs n where n.entity_id = e.entity_id and n.seq > e.seq and n.xid = e.xid
        and n.action in (${wentElsewhere})
    ) then ${sql.raw(`'${ATTEMPT_ENDED}'`)}
    when e.detail like 'Status: error,%' then 'task.failed' else 'task.completed' end`;
