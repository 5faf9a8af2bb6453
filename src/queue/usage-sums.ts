import { sql } from "drizzle-orm";
import type { UsageSum } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { monthlyUsageSums, newUsage, USAGE_DIMENSIONS, type UsageDimension, usageSums } from "../db/usage-tables.ts";
import { listed } from "./record-usage.ts";

const summed = listed((figure) => `sum(${figure})::bigint as ${figure}`);

/** In an upsert, adds the new figures to those of the table. */
const addedTo = (table: string) => listed((figure) => `${figure} = ${table}.${figure} + excluded.${figure}`);

/** The most attempts that one transaction adds to the sums. */
const PER_PASS = 5_000;
/** The advisory lock of the instance that adds up: two instances at once would wait for each other's sums, in any order. */
const LOCK = 7_011_604;

const dayOf = sql`(timestamp 'epoch' + completed_at * interval '1 ms')::date`;
/** Attempts that are in no sum yet, a row for each dimension. */
const spread = (attempts: string) => sql`(
    select dimension, ${dayOf} as day, key, ${listed(String)} from ${sql.raw(attempts)}
    cross join lateral (values ${sql.join(
      USAGE_DIMENSIONS.map(
        (name) => sql`(${sql.raw(`'${name}'`)}, ${name === "day" ? sql`${dayOf}::text` : sql.raw(name)})`,
      ),
      sql`, `,
    )}) as each (dimension, key))`;

/** Adds new attempts to the sums, each once whoever does it at the same time; gives how many. */
export async function sumUpUsage(db: Db): Promise<number> {
  const { rows } = await db.execute<{ attempts: number }>(sql`
    with turn as materialized (
      select pg_try_advisory_xact_lock(${LOCK}::bigint) as mine
    ), taken as (
      delete from ${newUsage} where id = any(array(
        select id from ${newUsage} where (select mine from turn) order by id limit ${PER_PASS}
      )) returning *
    ), spread as (
      select dimension, day, key, ${summed} from ${spread("taken")} as spread group by dimension, day, key
    ), days as (
      insert into ${usageSums} (dimension, day, key, ${listed(String)})
      select dimension, day, key, ${listed(String)} from spread order by dimension, day, key
      on conflict (dimension, day, key) do update set ${addedTo("runtime_usage")}
    ), months as (
      insert into ${monthlyUsageSums} (dimension, month, key, ${listed(String)})
      select dimension, date_trunc('month', day::timestamp)::date as month, key, ${summed} from spread where dimension <> 'day'
      group by dimension, month, key order by dimension, month, key
      on conflict (dimension, month, key) do update set ${addedTo("runtime_usage_months")}
    )
    select count(*)::int as attempts from taken`);
  return rows[0]?.attempts ?? 0;
}

/**
 * What attempts used by `dimension`, in the days (UTC, YYYY-MM-DD) from `since` to `until`, both included: the `limit` values with the most
 * tokens, or for days the latest. It is exact: attempts that are in no sum yet are added.
 */
export async function usageBy(
  db: Db,
  dimension: UsageDimension,
  {
    since = "-infinity",
    until = "infinity",
    limit,
  }: { since?: string | undefined; until?: string | undefined; limit: number },
): Promise<UsageSum[]> {
  const order = dimension === "day" ? sql`key desc` : sql`tokens desc, key`;
  // The whole months of the time, from the first to the one after the last, come from the sums of months; the days before and after from those of days.
  const months =
    dimension === "day"
      ? sql`'infinity'::date, 'infinity'::date`
      : sql`(date_trunc('month', (${since}::date - 1)::timestamp) + interval '1 month')::date, date_trunc('month', (${until}::date + 1)::timestamp)::date`;
  const bound = (name: string) => sql.raw(`(select ${name} from bounds)`);
  const { rows } = await db.execute<{ sum: UsageSum }>(sql`
    with bounds as (
      select since, until, least(first, until + 1) as early, greatest(first, after) as late, first, after
      from (values (${since}::date, ${until}::date, ${months})) as said (since, until, first, after)
    )
    select json_build_object('key', key, ${listed((figure) => (figure === "cost_microusd" ? `'cost_usd', cost_microusd / 1e6` : `'${figure}', ${figure}`))}) as sum
    from (
      select key, ${summed} from (
        select key, ${listed(String)} from ${usageSums} where dimension = ${dimension}
          and (day >= ${bound("since")} and day < ${bound("early")} or day >= ${bound("late")} and day <= ${bound("until")})
        union all select key, ${listed(String)} from ${monthlyUsageSums}
          where dimension = ${dimension} and month >= ${bound("first")} and month < ${bound("after")}
        union all select key, ${listed(String)} from ${spread("runtime_new_usage")} as spread
          where dimension = ${dimension} and day between ${bound("since")} and ${bound("until")}
      ) as every group by key order by ${order} limit ${limit}
    ) as found`);
  return rows.map(({ sum }) => sum);
}
