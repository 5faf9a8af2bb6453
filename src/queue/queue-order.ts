import { type SQL, sql } from "drizzle-orm";
import { nowMs } from "../db/clock.ts";
import { columnsOf } from "../db/column-lists.ts";
import { dueOf, sortTimeOf } from "../db/queued-indexes.ts";
import { llmTasks } from "../db/task-tables.ts";
import { labelSetId } from "../fleet/matching.ts";
import { isConcurrencyKeyFree } from "./concurrency-key.ts";

/** Tasks of the worker's warm context count as this much older than they are: other tasks are held back by this time at most. */
const WARM_HEAD_START_MS = 30_000;

/** The columns of a queued task that its place in the queue and its sort time depend on. */
export const ORDER_COLUMNS: readonly string[] = ["id", "context_id", "created_at", "priority", "concurrency_key"];
export const orderColumns = columnsOf(ORDER_COLUMNS);
const sortTime = sortTimeOf({ created_at: sql`created_at`, priority: sql`priority` });
/** In SQL, a sort time before that of every task. */
export const EARLIEST_SORT_TIME = sql.raw(`(${Number.MIN_SAFE_INTEGER})::bigint`);

/**
 * The order in which queued tasks are handed out, for an ORDER BY over rows with `orderColumns`: the oldest first, where each point of priority
 * counts as a minute of age, and tasks of the context `warm` with a head start of half a minute more.
 */
export function queueOrder(warm?: SQL): SQL {
  const headStart = warm
    ? sql` - case when context_id = ${warm} then ${sql.raw(String(WARM_HEAD_START_MS))} else 0 end`
    : sql``;
  return sql`${sortTime}${headStart}, id`;
}

const due = dueOf(llmTasks);

/**
 * True in SQL for a row that surely has no unseen task before it. `found` is a CTE with what `oldestOf` gives with `lookedAt`; the row has
 * `orderColumns`.
 */
export function isBeforeCutOff(found: SQL): SQL {
  const cutOffAt = sql`(select min(cut_off_at) from ${found})`;
  return sql`coalesce(${sortTime} < ${cutOffAt}, ${cutOffAt} is null)`;
}

/** Which of a set of labels' due tasks are wanted. */
interface Wanted {
  /** The set, as `labelSetId` writes it. */
  labelSet: SQL;
  /** True of the tasks that are wanted. It may be on the agent, which an index knows as well. */
  condition: SQL;
  /** How many are wanted in each of the two orders. */
  limit: SQL;
  /** How many tasks with `condition` are looked at for those whose key nobody holds; null in SQL: as many as it takes. */
  lookedAt?: SQL;
}

/** One of the two orders in which an index has the queued tasks of a set of labels. */
interface OneOrder {
  /** True of the due tasks that are in this order. */
  isIn: SQL;
  order: SQL;
  /** The same order in the names of a query over them, which has `due` and `sort_time` as columns. */
  sortedBy: SQL;
  /** The sort time from which on tasks may be missing where not all were looked at, in those names. */
  missingFrom: SQL;
}
const WITHOUT_START_TIME: OneOrder = {
  isIn: sql`${due} = 0`,
  order: queueOrder(),
  sortedBy: sql`sort_time, id`,
  missingFrom: sql`sort_time`,
};
const WITH_START_TIME: OneOrder = {
  isIn: sql`${due} > 0 and ${due} <= ${nowMs}`,
  order: sql`${due}, ${queueOrder()}`,
  sortedBy: sql`due, sort_time, id`,
  missingFrom: EARLIEST_SORT_TIME,
};

/**
 * A query for due tasks that ask for one set of labels and whose concurrency key nobody holds. It gives up to `limit` tasks without a start time, in
 * the queue's order, and up to `limit` whose start time has passed, the earliest first. These are the two orders that the index has.
 *
 * With `lookedAt`, at most that many tasks are looked at in each order. The last of them is returned too, even if its key is held, unless `limit` is
 * reached before it. Its `cut_off_at` is the sort time from which on wanted tasks may be missing; in the order of start times, it is the earliest of
 * all.
 */
export function oldestOf(columns: SQL, { labelSet, condition, limit, lookedAt }: Wanted): SQL {
  const firstIn = ({ isIn, order, sortedBy, missingFrom }: OneOrder) => {
    const found = sql`from ${llmTasks} where status = 'queued' and ${labelSetId} = ${labelSet} and ${isIn} and ${condition}`;
    if (!lookedAt)
      return sql`(select ${columns}, null::bigint as cut_off_at ${found} and ${isConcurrencyKeyFree} order by ${order} limit ${limit})`;
    // The outer order names columns that the inner one sorts by. PostgreSQL then knows that the rows are in order, and stops at the limit:
    // sorted anew, all that may be looked at were read, which took a third of a claim beside 700 tasks.
    return sql`(select ${columns}, case when is_last then ${missingFrom} end as cut_off_at from (
          select *, ${due} as due, ${sortTime} as sort_time, row_number() over (order by ${order}) = ${lookedAt} as is_last ${found}
          order by ${order} limit ${lookedAt}
        ) as ${llmTasks} where ${isConcurrencyKeyFree} or is_last order by ${sortedBy} limit ${limit})`;
  };
  return sql`${firstIn(WITHOUT_START_TIME)} union all ${firstIn(WITH_START_TIME)}`;
}
