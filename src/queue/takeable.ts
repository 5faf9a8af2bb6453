import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/schema.ts";
import { statement } from "../db/statement.ts";

/** Tasks with the same labels and agent: whoever can take one can take all. */
export interface Kind {
  requires: string[];
  agent_slug: string;
  count: number;
}

/** Who asks whether there is something new: the labels of all of them, and the agents that they ask for, or null where somebody takes those of any. */
export interface Audience {
  labels: string[];
  slugs: string[] | null;
}

/** Kinds in one answer. When their tasks are taken, the next answer has others. */
const MOST_KINDS = 1_000;

const since = takeableFrom(llmTasks);
const TAKEABLE = statement<
  { now: number; kinds: Kind[] },
  { since: number; margin: number; labels: string; slugs: string[] | null }
>(
  "takeable_since",
  sql`select ${nowMs} as now, coalesce(json_agg(kind), '[]') as kinds
    from (
      select requires, agent_slug, count(*)::int as count from ${llmTasks}
      where status = 'queued' and ${since} between least(${sql.placeholder("since")}::bigint, ${nowMs}) - ${sql.placeholder("margin")}::int and ${nowMs}
        and requires <@ ${sql.placeholder("labels")}::jsonb
        and (${sql.placeholder("slugs")}::text[] is null or agent_slug = any(${sql.placeholder("slugs")}::text[]))
      group by requires, agent_slug limit ${sql.raw(String(MOST_KINDS))}
    ) as kind`,
);

/**
 * The kinds of tasks that have become takeable since `since`, or so many milliseconds before, and still are; and the time until which that is
 * known, by the database's clock. It costs by what is new, whatever the queue holds. A clock that was set back is taken as it is.
 */
export async function takeableSince(
  db: Db,
  since: number,
  margin: number,
  { labels, slugs }: Audience,
): Promise<{ now: number; kinds: Kind[] }> {
  const [found] = await TAKEABLE(db, { since, margin, labels: JSON.stringify(labels), slugs });
  if (!found) throw new Error("The database did not say what can be taken.");
  return found;
}
