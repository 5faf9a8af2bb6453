/** The search for tasks whose concurrency key nobody holds, in three steps. Key by key, it costs as much as there are keys, however many tasks wait for each. */

import { type SQL, sql } from "drizzle-orm";
import { keyNameOf } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/schema.ts";
import { labelKey } from "../fleet/matching.ts";
import { heldKeys } from "./concurrency-key.ts";
import { oldestOf } from "./queue-order.ts";

/** How many more tasks are looked at in the queue's order before a search goes key by key. */
const TASKS = 200;
/** With more keys than these, a search looks at all tasks: a key takes about 25 µs, and a task that is passed over 0.5 µs. */
const KEYS = 1_000;

/** The three ways to search for tasks whose key is free. */
interface Search<Found> {
  /** In the queue's order, at so many more tasks than are wanted. */
  inOrder: (tasks: number) => Promise<Found>;
  /** Key by key, at so many keys. */
  byKey: (keys: number) => Promise<Found>;
  /** In the queue's order, at all tasks. */
  amongAll: () => Promise<Found>;
  isCutOff: (found: Found) => boolean;
}

/**
 * Searches in the queue's order; where that was cut off, key by key; and where there are too many keys, at all tasks. The bounds are divided by
 * `parts`, the number of agents.
 */
export async function searchInSteps<Found>(
  { inOrder, byKey, amongAll, isCutOff }: Search<Found>,
  parts = 1,
): Promise<Found> {
  let found = await inOrder(Math.ceil(TASKS / parts));
  if (isCutOff(found)) found = await byKey(Math.ceil(KEYS / parts));
  return isCutOff(found) ? amongAll() : found;
}

const keyName = keyNameOf(llmTasks);

/** Which of a set of labels' due tasks are wanted. */
interface Wanted {
  /** The set of labels. */
  labelSet: SQL;
  /** The agent; without it, the tasks of all agents are wanted. */
  slug?: SQL;
  /** True of the tasks that are wanted. */
  condition: SQL;
  /** How many tasks without a key are wanted of each agent, in each of the two orders of `oldestOf`. */
  limit: SQL;
  /** The most keys that are looked at. */
  mostKeys: SQL;
}

/**
 * A query for due tasks that ask for one set of labels: the first of each agent's free keys, and `limit` without a key. Where there are
 * more keys than are looked for, it also gives a row of nulls marked `is_cut_off`.
 */
export function firstOfFreeKeys(columns: SQL, { labelSet, slug, condition, limit, mostKeys }: Wanted): SQL {
  const ofSlug = slug ? sql` and agent_slug = ${slug}` : sql``;
  // With the agent in both conditions, PostgreSQL would read the index from the agent's first key on.
  const isAfter = slug ? sql`${keyName} > keys.name` : sql`(agent_slug, ${keyName}) > (keys.agent_slug, keys.name)`;
  // The index has agents before keys, since a search for some agents must not read the keys of the others.
  const next = (after: SQL) => sql`(select agent_slug, ${keyName} as name from ${llmTasks}
            where status = 'queued' and ${labelKey} = ${labelSet}${ofSlug}${after} order by agent_slug, ${keyName} limit 1)`;
  return sql`with recursive keys as (
          ${next(sql``)}
          union all
          select next.* from keys cross join lateral ${next(sql` and ${isAfter}`)} as next
        ), known as materialized (
          select * from keys limit ${mostKeys} + 1
        )
        select first.* from known cross join lateral (
          ${oldestOf(columns, {
            labelSet,
            condition: sql`agent_slug = known.agent_slug and ${keyName} = known.name and ${condition}`,
            limit: sql`(case when known.name = '' then ${limit} else 1 end)`,
          })}
        ) as first
        where known.name not in (${heldKeys})
        -- With more keys than that, one row says that the search was cut off.
        union all select ${columns}, true from (select from known offset ${mostKeys}) as too_many left join ${llmTasks} on false`;
}
