import { type SQL, sql } from "drizzle-orm";
import type { UsageSum } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { monthlyUsageSums, type UsageDimension, usageSums, usageTotals } from "../db/usage-tables.ts";
import { figureList } from "./record-usage.ts";
import { spread, summed } from "./usage-sums.ts";

/** A range of up to this number of days is read day by day, without any month. */
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
 * The CTEs `asked` (the range as dates), `bounds` and `edges`. Whole months are read where possible: at each end of the range the nearer border of a
 * month is taken, `first` and `after` in `bounds`. The days between that border and the asked day are in `edges`, to be added (sign 1) or subtracted
 * (-1). So 16 days at most are read at each end; a day of 1,000 keys takes about a millisecond. `isByDays`: no month is read.
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
  return sql`asked (since, until) as (
      values (${since}::date, ${until}::date + 1)
    ), bounds as (
      select since, until, ${first} as first, ${after} as after from asked
    ), edges (sign, since, until) as (
      select case when since < first then 1 else -1 end, least(since, first), greatest(since, first) from bounds
      union all select case when after < until then 1 else -1 end, least(after, until), greatest(after, until) from bounds
    )`;
}

/**
 * For a range of more days than this, the keys with the largest sums of all time are looked at first. For a shorter one, it takes less time to look
 * at all of its keys.
 */
const LONG_DAYS = 45;
/** How many keys are looked at first for each that is wanted, where all time or a long range is asked for. */
const LOOKED_AT_TIMES = { ofAll: 2, ofLong: 20 };

/**
 * What attempts used by `dimension`, in the days (UTC, YYYY-MM-DD) from `since` to `until`, both included: the `limit` values with the most tokens,
 * or for days the latest. With `account`, the days are that account's. The sums are exact: attempts that are in no stored sum yet are added, and
 * where a key that was not looked at might belong to the answer, all keys are looked at.
 */
export async function usageBy(db: Db, dimension: UsageDimension, range: Range): Promise<UsageSum[]> {
  if (dimension === "day") return await latestDays(db, range);
  if (daysOf(range) > LONG_DAYS) {
    const isOfAll = range.since === undefined && range.until === undefined;
    const among = range.limit * (isOfAll ? LOOKED_AT_TIMES.ofAll : LOOKED_AT_TIMES.ofLong);
    const found = await largestKeys(db, dimension, range, among);
    if (found[0]?.is_exact === true) return found.map(({ sum }) => sum);
  }
  return (await largestKeys(db, dimension, range)).map(({ sum }) => sum);
}

const bound = (name: string) => sql.raw(`(select ${name} from bounds)`);
const sum = sql`json_build_object('key', key, ${figureList((figure) =>
  figure === "cost_microusd" ? "'cost_usd', cost_microusd / 1e6" : `'${figure}', ${figure}`,
)}) as sum`;

/** What is summed up: the rows of `runtime_usage` for which `isOf` is true, by `key`. */
interface Source {
  key: SQL;
  isOf: SQL;
}

/** The CTE `waiting`, the attempts that are in no sum yet. */
const waiting = ({ key, isOf }: Source) => sql`waiting as materialized (
      select ${key} as key, ${figureList(String)} from ${spread("runtime_new_usage")} as spread
      where ${isOf} and day >= ${bound("since")} and day < ${bound("until")}
    )`;
const ofDays = ({ key, isOf }: Source, figures?: readonly string[]) => sql`
        select ${key} as key, ${figureList((figure) => `sign * ${figure} as ${figure}`, figures)} from edges join ${usageSums}
          on ${isOf} and day >= edges.since and day < edges.until`;

/** The latest days of all accounts together, or of one account. */
async function latestDays(db: Db, range: Range): Promise<UsageSum[]> {
  const { account, limit } = range;
  const source =
    account === undefined
      ? { key: sql`key`, isOf: sql`dimension = 'day'` }
      : { key: sql`day::text`, isOf: sql`dimension = 'account' and key = ${account}` };
  const { rows } = await db.execute<{ sum: UsageSum }>(sql`
    with ${bounds(true, range)}, ${waiting(source)}, found as (
      select key, ${summed} from (${ofDays(source)} union all select * from waiting) as every
      group by key having sum(attempts) > 0 order by key desc limit ${limit}
    )
    select ${sum} from found order by key desc`);
  return rows.map(({ sum }) => sum);
}

/**
 * The largest sums, or those among the keys with the `among` largest sums of all time; `is_exact` where no other key can have a larger one. The keys
 * are ranked by their tokens before the other figures are summed up: with all figures at once, 70,000 keys took more than twice as long.
 */
async function largestKeys(db: Db, dimension: UsageDimension, range: Range, among?: number) {
  const source = { key: sql`key`, isOf: sql`dimension = ${dimension}` };
  const summedUp = (isWanted: SQL, figures?: readonly string[]) => sql`
        ${ofDays(source, figures)} and ${isWanted}
        union all select key, ${figureList(String, figures)} from ${monthlyUsageSums}
          where dimension = ${dimension} and month >= ${bound("first")} and month < ${bound("after")} and ${isWanted}`;
  const rank = ["attempts", "tokens"];
  const byTotal = sql`from ${usageTotals} where dimension = ${dimension} order by tokens desc nulls last, key`;
  const [lookedAt, isExact] =
    among === undefined
      ? [summedUp(sql`true`, rank), sql`true`]
      : [
          sql`select each.* from (select key from waiting union (select key ${byTotal} limit ${among})) as known
            cross join lateral (${summedUp(sql`key = known.key`, rank)}) as each`,
          sql`not exists (select from (select tokens ${byTotal} offset ${among} limit 1) as other
            where (select count(*) < ${range.limit} or min(tokens) <= other.tokens from found))`,
        ];
  const { rows } = await db.execute<{ sum: UsageSum; is_exact: boolean }>(sql`
    with ${bounds(daysOf(range) < BY_DAYS, range)}, ${waiting(source)}, ranked as (
      select key from (${lookedAt} union all select key, ${figureList(String, rank)} from waiting) as every
      group by key having sum(attempts) > 0 order by sum(tokens) desc, key limit ${range.limit}
    ), found as (
      select key, ${summed} from (
        select each.* from ranked cross join lateral (${summedUp(sql`key = ranked.key`)}) as each
        union all select waiting.* from waiting join ranked using (key)
      ) as every group by key
    )
    select ${sum}, ${isExact} as is_exact from found order by tokens desc, key`);
  return rows;
}
