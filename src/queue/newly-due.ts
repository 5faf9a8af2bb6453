import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { sortTimeOf, takeableFrom } from "../db/queued-indexes.ts";
import { statement } from "../db/statement.ts";
import { heldStatuses } from "../db/status-lists.ts";
import { llmTasks } from "../db/task-tables.ts";
import { hasLabels } from "../fleet/matching.ts";
import { isConcurrencyKeyFree } from "./concurrency-key.ts";
import { isDue } from "./get-task.ts";

/**
 * What `count` tasks ask of the worker that takes them: labels, an agent, and for tasks that are kept to a worker, that worker. A worker that can
 * take one of them can nearly always take all.
 */
export interface Demand {
  requires: string[];
  agent_slug: string;
  /** The only worker that may have them, since it had them first (`allow_fallback` false); null where any may. */
  kept_to: string | null;
  count: number;
}

/**
 * What the waiting workers together can take: every label that one of them has, and every agent that one of them asks for; null where one of them
 * takes the tasks of any agent.
 */
export interface Interest {
  labels: string[];
  slugs: string[] | null;
}

/** The most demands in one answer. When their tasks are taken, the next answer has others. */
const MOST_DEMANDS = 1_000;

/**
 * When a key becomes free, the first 200 of the tasks that wait for it are read. Up to 8 that any worker may take count as new, and up to 8 for each
 * worker that tasks are kept to, since that worker may be away.
 */
const LOOKED_AT_PER_KEY = sql.raw("200");
const NEW_PER_KEY = sql.raw("8");

const queuedAndDueSince = takeableFrom(llmTasks);
const isSince = (time: SQL) =>
  sql`${time} between least(${sql.placeholder("since")}::bigint, ${nowMs}) - ${sql.placeholder("margin")}::int and ${nowMs}`;
const demand = sql`requires, agent_slug, case when not allow_fallback then tried_by end as kept_to`;
const isWanted = sql`${hasLabels(sql`requires`, sql`${sql.placeholder("labels")}::jsonb`)}
        and (${sql.placeholder("slugs")}::text[] is null or agent_slug = any(${sql.placeholder("slugs")}::text[]))`;
const newTasks = sql`select ${demand} from ${llmTasks} where status = 'queued' and ${isSince(queuedAndDueSince)} and ${isConcurrencyKeyFree}`;
/** Tasks that may be old, but whose key became free: the task that held it has ended, or waits again. */
const freedTasks = sql`select requires, agent_slug, kept_to from (
        select distinct concurrency_key from ${llmTasks}
        where concurrency_key is not null and status not in (${heldStatuses}) and ${isSince(sql`updated_at`)}
      ) as freed cross join lateral (
        select *, row_number() over (partition by kept_to) as nth from (
          select ${demand} from ${llmTasks}
          where concurrency_key is not null and status = 'queued' and concurrency_key = freed.concurrency_key and ${isDue} and ${isConcurrencyKeyFree}
          order by ${sortTimeOf(llmTasks)} limit ${LOOKED_AT_PER_KEY}
        ) as looked_at where ${isWanted}
      ) as first where nth <= ${NEW_PER_KEY}`;
const DEMANDS = statement<
  { now: number; demands: Demand[] },
  { since: number; margin: number; labels: string; slugs: string[] | null }
>(
  "demands_due_since",
  sql`select ${nowMs} as now, coalesce(json_agg(demand), '[]') as demands
    from (
      select requires, agent_slug, kept_to, count(*)::int as count from (${newTasks} union all ${freedTasks}) as task where ${isWanted}
      group by requires, agent_slug, kept_to order by kept_to nulls first limit ${sql.raw(String(MOST_DEMANDS))}
    ) as demand`,
);

/**
 * Finds the demands of the queued tasks that nobody could take before `since` minus `margin`: since then they were queued, became due, or their
 * concurrency key became free. `now` is the `since` of the next call. Times are in milliseconds by the database's clock; `since` may lie in the
 * future when the clock was set back. The cost grows with what is new, not with the queue.
 */
export async function demandsDueSince(
  db: Db,
  since: number,
  margin: number,
  { labels, slugs }: Interest,
): Promise<{ now: number; demands: Demand[] }> {
  const [found] = await DEMANDS(db, { since, margin, labels: JSON.stringify(labels), slugs });
  if (!found) throw new Error("The database did not say which tasks are new.");
  return found;
}
