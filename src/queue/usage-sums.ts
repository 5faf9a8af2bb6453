import { type SQL, sql } from "drizzle-orm";
import type { UsageSum } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import {
  monthlyUsageSums,
  newUsage,
  USAGE_DIMENSIONS,
  type UsageDimension,
  usageSums,
  usageTotals,
} from "../db/usage-tables.ts";
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
    ), totals as (
      insert into ${usageTotals} (dimension, key, ${listed(String)})
      select dimension, key, ${summed} from spread where dimension <> 'day' group by dimension, key order by dimension, key
      on conflict (dimension, key) do update set ${addedTo("runtime_usage_totals")}
    )
    select count(*)::int as attempts from taken`);
  return rows[0]?.attempts ?? 0;
}

/** A range of so many days at most is read day by day, without any month. */
const BY_DAYS = 15;

/**
 * The CTEs `bounds`, the time from `since` to before `until` and the months that are read from `first` to before `after`, and `edges`, the days that
 * are read beside them: those that the months lack, and with the sign -1 those that they have too many. The month at either
 * end is read where at least about half of it is asked for, so that 16 days at most are read at each end; a day of 1,000 keys takes about a
 * millisecond.
 */
function bounds(dimension: UsageDimension, since: string, until: string): SQL {
  const monthOf = (day: string) => `date_trunc('month', ${day}::timestamp)::date`;
  const nextOf = (day: string) => `(date_trunc('month', ${day}::timestamp) + interval '1 month')::date`;
  // The first day of the month that is nearer. There is no month of an infinite day.
  const nearest = (day: string) =>
    sql.raw(
      `case when not isfinite(${day}) then ${day} when ${day} - ${monthOf(day)} <= ${nextOf(day)} - ${day} then ${monthOf(day)} else ${nextOf(day)} end`,
    );
  const isByDays =
    dimension === "day"
      ? sql`true`
      : sql`case when isfinite(since) and isfinite(until) then until - since <= ${sql.raw(String(BY_DAYS))} else false end`;
  return sql`said (since, until) as (
      values (${since}::date, ${until}::date + 1)
    ), bounds as (
      select since, until, case when ${isByDays} then until else ${nearest("since")} end as first,
        case when ${isByDays} then until else ${nearest("until")} end as after
      from said
    ), edges (sign, since, until) as (
      select case when since < first then 1 else -1 end, least(since, first), greatest(since, first) from bounds
      union all select case when after < until then 1 else -1 end, least(after, until), greatest(after, until) from bounds
    )`;
}

interface Range {
  since?: string | undefined;
  until?: string | undefined;
  account?: string | undefined;
  limit: number;
}

/** How many keys with the largest sums of all time are looked at for each that is wanted of a range, and of all time. */
const LOOKED_AT_TIMES = { ofRange: 20, ofAll: 2 };

/**
 * What attempts used by `dimension`, in the days (UTC, YYYY-MM-DD) from `since` to `until`, both included: the `limit` values with the most
 * tokens, or for days the latest. With `account`, the days are that account's. It is exact: attempts that are in no sum yet are added.
 * First only the values with the largest sums of all time are summed up. If another value might belong to the answer, all values are (0.5 s for
 * 200,000 contexts).
 */
export async function usageBy(db: Db, dimension: UsageDimension, range: Range): Promise<UsageSum[]> {
  const isOfAll = range.since === undefined && range.until === undefined;
  const among = range.limit * (isOfAll ? LOOKED_AT_TIMES.ofAll : LOOKED_AT_TIMES.ofRange);
  const found = dimension === "day" ? [] : await sumsOf(db, dimension, range, among);
  const isExact = found[0]?.is_exact === true;
  return (isExact ? found : await sumsOf(db, dimension, range)).map(({ sum }) => sum);
}

/** The largest sums, or those among the keys with the `among` largest sums of all time; `is_exact` where no other key can have a larger one. */
async function sumsOf(
  db: Db,
  dimension: UsageDimension,
  { since = "-infinity", until = "infinity", account, limit }: Range,
  among?: number,
) {
  const order = dimension === "day" ? sql`key desc` : sql`tokens desc, key`;
  const [key, isOf] =
    account === undefined
      ? [sql`key`, sql`dimension = ${dimension}`]
      : [sql`day::text`, sql`dimension = 'account' and key = ${account}`];
  const bound = (name: string) => sql.raw(`(select ${name} from bounds)`);
  const sums = (isWanted: SQL) => sql`
        select ${key} as key, ${listed((figure) => `sign * ${figure} as ${figure}`)} from edges join ${usageSums}
          on ${isOf} and day >= edges.since and day < edges.until${isWanted}
        union all select key, ${listed(String)} from ${monthlyUsageSums}
          where dimension = ${dimension} and month >= ${bound("first")} and month < ${bound("after")}${isWanted}`;
  const byTotal = sql`from ${usageTotals} where dimension = ${dimension} order by tokens desc nulls last, key`;
  const known = sql`(select key from waiting union (select key ${byTotal} limit ${among})) as known`;
  const wanted =
    among === undefined
      ? sums(sql``)
      : sql`select each.* from ${known} cross join lateral (${sums(sql` and key = known.key`)}) as each`;
  const { rows } = await db.execute<{ sum: UsageSum; is_exact: boolean }>(sql`
    with ${bounds(dimension, since, until)}, waiting as materialized (
      select ${key} as key, ${listed(String)} from ${spread("runtime_new_usage")} as spread
      where ${isOf} and day >= ${bound("since")} and day < ${bound("until")}
    ), found as (
      select key, ${summed} from (${wanted} union all select key, ${listed(String)} from waiting) as every
      group by key having sum(attempts) > 0 order by ${order} limit ${limit}
    ), other as (
      select tokens ${byTotal} offset ${among ?? 0} limit 1
    )
    select json_build_object('key', key, ${listed((figure) => (figure === "cost_microusd" ? `'cost_usd', cost_microusd / 1e6` : `'${figure}', ${figure}`))}) as sum,
      not exists (select from other where (select count(*) < ${limit} or min(tokens) <= other.tokens from found)) as is_exact
    from found order by ${order}`);
  return rows;
}
