import { type SQL, sql } from "drizzle-orm";
import type { UsageSum } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { monthlyUsageSums, USAGE_FIGURES, type UsageDimension, usageSums, usageTotals } from "../db/usage-tables.ts";
import { listed } from "./record-usage.ts";
import { spread, summed } from "./usage-sums.ts";

/** A range of so many days at most is read day by day, without any month. */
const BY_DAYS = 15;
const DAY_MS = 86_400_000;

interface Range {
  since?: string | undefined;
  until?: string | undefined;
  account?: string | undefined;
  limit: number;
}

function daysOf({ since, until }: Range): number {
  if (since === undefined) return Number.POSITIVE_INFINITY;
  return ((until ? Date.parse(until) : Date.now()) - Date.parse(since)) / DAY_MS;
}

/**
 * The CTEs `bounds`, the time from `since` to before `until` and the months that are read from `first` to before `after`, and `edges`, the days that
 * are read beside them: those that the months lack, and with the sign -1 those that they have too many. The month at either
 * end is read where at least about half of it is asked for, so that 16 days at most are read at each end; a day of 1,000 keys takes about a
 * millisecond.
 */
function bounds(isByDays: boolean, { since = "-infinity", until = "infinity" }: Range): SQL {
  const monthOf = (day: string) => `date_trunc('month', ${day}::timestamp)::date`;
  const nextOf = (day: string) => `(date_trunc('month', ${day}::timestamp) + interval '1 month')::date`;
  // The first day of the month that is nearer. There is no month of an infinite day.
  const nearest = (day: string) =>
    sql.raw(
      `case when not isfinite(${day}) then ${day} when ${day} - ${monthOf(day)} <= ${nextOf(day)} - ${day} then ${monthOf(day)} else ${nextOf(day)} end`,
    );
  const [first, after] = isByDays ? [sql`until`, sql`until`] : [nearest("since"), nearest("until")];
  return sql`said (since, until) as (
      values (${since}::date, ${until}::date + 1)
    ), bounds as (
      select since, until, ${first} as first, ${after} as after from said
    ), edges (sign, since, until) as (
      select case when since < first then 1 else -1 end, least(since, first), greatest(since, first) from bounds
      union all select case when after < until then 1 else -1 end, least(after, until), greatest(after, until) from bounds
    )`;
}

/**
 * Of all time or of a range of so many days, only the keys with the largest sums of all time are looked at first: so many for each that is wanted.
 * They mostly lead to the answer there; of a shorter range they often do not, and all its keys take less time.
 */
const LONG_DAYS = 45;
const LOOKED_AT_TIMES = { ofAll: 2, ofLong: 20 };

/**
 * What attempts used by `dimension`, in the days (UTC, YYYY-MM-DD) from `since` to `until`, both included: the `limit` values with the most
 * tokens, or for days the latest. With `account`, the days are that account's. It is exact: attempts that are in no sum yet are added, and where
 * a key that was not looked at might belong to the answer, all are.
 */
export async function usageBy(db: Db, dimension: UsageDimension, range: Range): Promise<UsageSum[]> {
  const isOfAll = range.since === undefined && range.until === undefined;
  const among = range.limit * (isOfAll ? LOOKED_AT_TIMES.ofAll : LOOKED_AT_TIMES.ofLong);
  const isLong = dimension !== "day" && daysOf(range) > LONG_DAYS;
  const found = isLong ? await sumsOf(db, dimension, range, among) : [];
  const isExact = found[0]?.is_exact === true;
  return (isExact ? found : await sumsOf(db, dimension, range)).map(({ sum }) => sum);
}

/**
 * The largest sums, or those among the keys with the `among` largest sums of all time; `is_exact` where no other key can have a larger one. The keys
 * are ranked by their tokens before the other figures are summed up: with all figures at once, 70,000 keys took more than twice as long. Days are in
 * order of their names, and need no rank.
 */
async function sumsOf(db: Db, dimension: UsageDimension, range: Range, among?: number) {
  const { account, limit } = range;
  const isOfDays = dimension === "day";
  const [key, isOf] =
    account === undefined
      ? [sql`key`, sql`dimension = ${dimension}`]
      : [sql`day::text`, sql`dimension = 'account' and key = ${account}`];
  const bound = (name: string) => sql.raw(`(select ${name} from bounds)`);
  const sums = (figures: readonly string[], isWanted: SQL) => sql`
        select ${key} as key, ${listed((figure) => `sign * ${figure} as ${figure}`, figures)} from edges join ${usageSums}
          on ${isOf} and day >= edges.since and day < edges.until and ${isWanted}
        union all select key, ${listed(String, figures)} from ${monthlyUsageSums}
          where dimension = ${dimension} and month >= ${bound("first")} and month < ${bound("after")} and ${isWanted}
        union all select key, ${listed(String, figures)} from waiting where ${isWanted}`;
  const byTotal = sql`from ${usageTotals} where dimension = ${dimension} order by tokens desc nulls last, key`;
  const known = sql`(select key from waiting union (select key ${byTotal} limit ${among}))`;
  const candidates =
    among === undefined
      ? sums(["attempts", "tokens"], sql`true`)
      : sql`select each.* from ${known} as known cross join lateral (${sums(["attempts", "tokens"], sql`key = known.key`)}) as each`;
  const found = isOfDays
    ? sql`found as (
      select key, ${summed} from (${sums(USAGE_FIGURES, sql`true`)}) as every group by key having sum(attempts) > 0 order by key desc limit ${limit}
    )`
    : sql`ranked as (
      select key from (${candidates}) as every
      group by key having sum(attempts) > 0 order by sum(tokens) desc, key limit ${limit}
    ), found as (
      select every.* from ranked cross join lateral (
        select ranked.key, ${summed} from (${sums(USAGE_FIGURES, sql`key = ranked.key`)}) as each
      ) as every
    )`;
  const isExact = sql`not exists (
    select from (select tokens ${byTotal} offset ${among ?? 0} limit 1) as other
    where (select count(*) < ${limit} or min(tokens) <= other.tokens from found))`;
  const fields = listed((figure) =>
    figure === "cost_microusd" ? "'cost_usd', cost_microusd / 1e6" : `'${figure}', ${figure}`,
  );
  const { rows } = await db.execute<{ sum: UsageSum; is_exact: boolean }>(sql`
    with ${bounds(isOfDays || daysOf(range) < BY_DAYS, range)}, waiting as materialized (
      select ${key} as key, ${listed(String)} from ${spread("runtime_new_usage")} as spread
      where ${isOf} and day >= ${bound("since")} and day < ${bound("until")}
    ), ${found}
    select json_build_object('key', key, ${fields}) as sum, ${isExact} as is_exact
    from found order by ${isOfDays ? sql`key desc` : sql`tokens desc, key`}`);
  return rows;
}
