import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { ENDED_STATUSES, type TaskStatus } from "../db/statuses.ts";
import { isReadForWebhooks } from "../webhooks/queue-deliveries.ts";

const FIRST = { created_at: -1, id: "00000000-0000-0000-0000-000000000000" };

/** The time, in epoch milliseconds by the database's clock, before which everything of a task must lie so that it may be removed. */
export type Cutoff = number;

/**
 * True in SQL when the callback of the task `t` was queued, or there is none. The address stands in the task alone, and the end is read from the audit,
 * which any long transaction on the server delays. An aggregate, since PostgreSQL may answer a `not exists` under an `or` by a scan of the whole audit.
 */
const isToldOf = sql`(t.callback_url is null
  or (select coalesce(bool_and(${isReadForWebhooks}), true) from audit_logs where entity_id = t.id::text))`;

/**
 * True in SQL for an ended task `t` of which everything is older than the cutoff, since a result may have come long after the task's end, and whose
 * callback needs the task no more.
 */
export const isOld = (cutoff: Cutoff) => sql`t.updated_at < ${cutoff}::bigint
  and not exists (select from leases l where l.task_id = t.id and l.status = 'active')
  and not exists (select from llm_results r where r.task_id = t.id and r.completed_at >= ${cutoff}::bigint)
  and not exists (select from runtime_artifacts a where a.task_id = t.id and a.created_at >= ${cutoff}::bigint)
  and ${isToldOf}`;

/**
 * The ids of tasks that ended before the cutoff, in groups of `perGroup` at most, each task once. They are found by status and time of creation, as
 * the index has them: among those created before the cutoff, few have not ended before it too.
 */
export async function* findOldTasks(db: Db, cutoff: Cutoff, perGroup: number): AsyncGenerator<string[]> {
  let group: string[] = [];
  for (const status of ENDED_STATUSES) {
    for (let last = FIRST, isWhole = false; !isWhole; ) {
      const wanted = perGroup - group.length;
      const found = await findAfter(db, status, last, cutoff, wanted);
      group.push(...found.map(({ id }) => id));
      last = found.at(-1) ?? last;
      isWhole = found.length < wanted;
      if (isWhole) continue;
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

async function findAfter(db: Db, status: TaskStatus, after: typeof FIRST, cutoff: Cutoff, limit: number) {
  // The status stands in the text of the query, so that the planner knows how many rows it has.
  const { rows } = await db.execute<{ id: string; created_at: string }>(sql`
    select t.id, t.created_at from llm_tasks t
    where t.status = ${sql.raw(`'${status}'`)} and t.created_at < ${cutoff}::bigint
      and (t.created_at, t.id) > (${after.created_at}::bigint, ${after.id}::uuid) and ${isOld(cutoff)}
    order by t.created_at, t.id limit ${limit}`);
  return rows.map(({ id, created_at }) => ({ id, created_at: Number(created_at) }));
}

/** In SQL, a hash of the versions of all rows that are the task `t`'s: it is another one after any change of them. */
export const versionOf = sql`(select md5(string_agg(version, ' ' order by version)) from (
    select t.xmin::text as version
    union all select l.id || ' ' || l.xmin from leases l where l.task_id = t.id
    union all select r.id || ' ' || r.xmin from llm_results r where r.task_id = t.id
    union all select a.id || ' ' || a.xmin from runtime_artifacts a where a.task_id = t.id
  ) as versions)`;
