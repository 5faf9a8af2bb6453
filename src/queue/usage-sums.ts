import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { monthlyUsageSums, newUsage, USAGE_DIMENSIONS, usageSums, usageTotals } from "../db/usage-tables.ts";
import { figureList } from "./record-usage.ts";

/** The sums of the figures over rows. */
export const summed = figureList((figure) => `sum(${figure})::bigint as ${figure}`);

/** In an upsert, adds the new figures to those of the table. */
const addedTo = (table: string) => figureList((figure) => `${figure} = ${table}.${figure} + excluded.${figure}`);

/** The most attempts that one transaction adds to the sums. */
const PER_PASS = 5_000;
/** The advisory lock of the instance that adds up: two instances at once would wait for each other's sums, in any order. */
const LOCK = 7_011_604;

const dayOf = sql`(timestamp 'epoch' + completed_at * interval '1 ms')::date`;
/** In SQL, the rows of `attempts`, which are in no sum yet: one row for each attempt and dimension. */
export const spread = (attempts: string) => sql`(
    select dimension, ${dayOf} as day, key, ${figureList(String)} from ${sql.raw(attempts)}
    cross join lateral (values ${sql.join(
      USAGE_DIMENSIONS.map(
        (name) => sql`(${sql.raw(`'${name}'`)}, ${name === "day" ? sql`${dayOf}::text` : sql.raw(name)})`,
      ),
      sql`, `,
    )}) as each (dimension, key))`;

/** Adds new attempts to the sums, each once, whichever instances do this at the same time; gives how many attempts. */
export async function sumUpUsage(db: Db): Promise<number> {
  const { rows } = await db.execute<{ attempts: number }>(sql`
    with lock_taken as materialized (
      select pg_try_advisory_xact_lock(${LOCK}::bigint) as is_mine
    ), taken as (
      delete from ${newUsage} where id = any(array(
        select id from ${newUsage} where (select is_mine from lock_taken) order by id limit ${PER_PASS}
      )) returning *
    ), spread as (
      select dimension, day, key, ${summed} from ${spread("taken")} as spread group by dimension, day, key
    ), days as (
      insert into ${usageSums} (dimension, day, key, ${figureList(String)})
      select dimension, day, key, ${figureList(String)} from spread order by dimension, day, key
      on conflict (dimension, day, key) do update set ${addedTo("runtime_usage")}
    ), months as (
      insert into ${monthlyUsageSums} (dimension, month, key, ${figureList(String)})
      select dimension, date_trunc('month', day::timestamp)::date as month, key, ${summed} from spread where dimension <> 'day'
      group by dimension, month, key order by dimension, month, key
      on conflict (dimension, month, key) do update set ${addedTo("runtime_usage_months")}
    ), totals as (
      insert into ${usageTotals} (dimension, key, ${figureList(String)})
      select dimension, key, ${summed} from spread where dimension <> 'day' group by dimension, key order by dimension, key
      on conflict (dimension, key) do update set ${addedTo("runtime_usage_totals")}
    )
    select count(*)::int as attempts from taken`);
  return rows[0]?.attempts ?? 0;
}
