import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases, llmTasks, workers } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
import { isDrained, maxConcurrency } from "../fleet/capacity.ts";
import { isDue } from "./tasks.ts";

/** Who asks for tasks, and for those of which agents; of all of them when `slugs` is empty. */
export interface Asking {
  workerId: string;
  slugs: string[];
}

/**
 * Whoever has room is of a kind, by labels and slugs; a crowd is of few kinds, and the queue is looked through once for each. Of a kind only
 * so many are named as there are tasks for it.
 */
const WHO = statement<{ n: number }, { asking: string; limit: number }>(
  "who_can_take",
  sql`with asking as (
      select n, worker_id, slugs from jsonb_to_recordset(${sql.placeholder("asking")}::jsonb) as a(n int, worker_id text, slugs jsonb)
    ), free as materialized (
      select n, slugs, ${workers.labels} as labels
      from asking join ${workers} on ${workers.id} = asking.worker_id
      where not ${isDrained}
        and (select count(*) from ${leases} where worker_id = ${workers.id} and status = 'active') < ${maxConcurrency}
    ), kinds as materialized (
      select labels, slugs, (select count(*) from (
          select from ${llmTasks}
          where status = 'queued' and ${isDue} and requires <@ kind.labels and (kind.slugs = '[]' or kind.slugs ? agent_slug)
          order by created_at, id limit ${sql.placeholder("limit")}::int
        ) as found) as takeable
      from (select distinct labels, slugs from free) as kind
    ), placed as (
      select n, takeable, row_number() over (partition by labels, slugs order by n) as place from free join kinds using (labels, slugs)
    )
    select n from placed where place <= takeable order by n limit ${sql.placeholder("limit")}::int`,
);

/** The indexes of those who could take a queued task now, at most `limit` of them. A view without locks: the claim decides. */
export async function whoCanTake(db: Db, all: Asking[], limit: number): Promise<number[]> {
  const asking = JSON.stringify(all.map(({ workerId, slugs }, n) => ({ n, worker_id: workerId, slugs })));
  return (await WHO(db, { asking, limit })).map(({ n }) => n);
}
