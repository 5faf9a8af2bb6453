import { type SQL, sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { dueOf, labelKeyOf } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/schema.ts";

/** Tasks of a context that has a head start count as so much older than they are. Others wait no longer than that for their turn. */
const HEAD_START_MS = 30_000;

/** The order in which queued tasks get their turn, for an ORDER BY; those of the context `warm` have a head start. */
export function turn(warm?: SQL): SQL {
  const headStart = warm
    ? sql` - case when context_id = ${warm} then ${sql.raw(String(HEAD_START_MS))} else 0 end`
    : sql``;
  return sql`created_at${headStart}, id`;
}

const labelKey = labelKeyOf(llmTasks.requires);
const due = dueOf(llmTasks);

/**
 * The recursive CTE `sets`: the sets of labels that queued tasks ask for, in column `key`. `fits` is true for those within `labels`, a label
 * key. It costs an index look-up for each set that fits, and few more: from a set that does not fit it leaps to where the next one that
 * fits can stand, past all that ask for the same foreign label. `labels` null: there are no sets.
 */
export function setsWithin(labels: SQL): SQL {
  const from = (key: SQL, table: SQL) => sql`
      select found.key, bloom_runtime.next_label_key(found.key, ${labels}) as next from ${table} cross join lateral (
        select ${labelKey} as key from ${llmTasks} where status = 'queued' and ${labelKey} >= ${key} order by ${labelKey} limit 1
      ) as found`;
  return sql`steps as (${from(sql`start`, sql`(select '{}'::bigint[] as start where ${labels} is not null) as begin`)}
      union all ${from(sql`steps.next`, sql`steps`)}
    ), sets as materialized (
      select key from steps where next[cardinality(key) + 1] = -1
    )`;
}

/**
 * A query for the `limit` due tasks of the set of labels `key` that are first in turn, and of those that have waited for their time the
 * `limit` that were due first: an index has these two orders. `condition` may be on the agent, which the index knows as well.
 */
export function oldestOf(columns: SQL, key: SQL, limit: SQL, condition: SQL = sql`true`): SQL {
  const inTurn = (dueCondition: SQL, order: SQL) => sql`(
        select ${columns} from ${llmTasks}
        where status = 'queued' and ${labelKey} = ${key} and ${dueCondition} and ${condition}
        order by ${order} limit ${limit})`;
  return sql`${inTurn(sql`${due} = 0`, turn())} union all ${inTurn(sql`${due} > 0 and ${due} <= ${nowMs}`, sql`${due}, ${turn()}`)}`;
}
