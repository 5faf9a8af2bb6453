import { and, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { AuditFilter, HistoryFilter } from "../contract/filters.ts";
import { AUDIT_FIELDS } from "../db/audit.ts";
import { auditLogs } from "../db/audit-table.ts";
import type { Db } from "../db/client.ts";
import { jsonOf } from "../db/column-lists.ts";
import { mostBytesInJson, type Part, type Source } from "../db/list-source.ts";
import { COMMON_ACTIONS, isUncommon } from "../db/partial-index-conditions.ts";

const LIST = {
  table: auditLogs,
  id: auditLogs.id,
  time: auditLogs.seq,
  record: jsonOf(AUDIT_FIELDS),
  weight: mostBytesInJson(auditLogs.detail),
};

/** The entries that match, oldest first; `where` leaves few of them. */
export function entriesOf(where: SQL, filter: HistoryFilter): Source {
  return { ...LIST, parts: [{ where: and(where, conditionOf(filter)), isRare: true }], order: "oldest first" };
}

/** The list of the audit entries that match the filter, newest first. */
export async function auditEntries(
  db: Db,
  { created_after, created_before, ...filter }: AuditFilter = {},
): Promise<Source> {
  const isWithin = and(
    created_after === undefined ? undefined : sql`${auditLogs.timestamp} >= ${created_after}::bigint`,
    created_before === undefined ? undefined : sql`${auditLogs.timestamp} < ${created_before}::bigint`,
  );
  return {
    ...LIST,
    since: created_after === undefined ? undefined : await seqAt(db, created_after - DISORDER_MS),
    until: created_before === undefined ? undefined : await seqAt(db, created_before + DISORDER_MS),
    parts: [partOf(filter, isWithin)],
    order: "newest first",
  };
}

function partOf({ entity_id, ...filter }: AuditFilter, isWithin: SQL | undefined): Part {
  const sift = and(conditionOf(filter), isWithin);
  if (entity_id !== undefined) return { only: { column: auditLogs.entity_id, value: entity_id }, sift };
  const { action, entity_type } = filter;
  const isRare = action?.every((each) => !COMMON_ACTIONS.includes(each)) || isUncommonType(entity_type);
  return { where: isRare ? isUncommon(auditLogs.action) : undefined, sift };
}

/** True for entries about other things than tasks and leases, which are uncommon: the actions of every task's life are about these two. */
const isUncommonType = (type: string | undefined) => type !== undefined && type !== "llm_task" && type !== "lease";

const conditionOf = ({ action, entity_type, actor }: HistoryFilter) =>
  and(
    action && inArray(auditLogs.action, action),
    entity_type === undefined ? undefined : eq(auditLogs.entity_type, entity_type),
    actor === undefined ? undefined : eq(auditLogs.actor, actor),
  );

/**
 * How far the times of entries may be out of their order: an entry has the time at which its statement began, which may have waited for locks. In a
 * log in which the clock was set back further, a filter by time may miss entries.
 */
const DISORDER_MS = 120_000;

/**
 * The `seq` of the first entry that is not older than `time`. The times grow with `seq`, so that the search halves the range each time and looks at
 * some twenty entries.
 */
async function seqAt(db: Db, time: number): Promise<number> {
  const { rows } = await db.execute<{ seq: string }>(sql`
    with recursive search as (
      select coalesce(min(seq), 0) as low, coalesce(max(seq) + 1, 0) as high from audit_logs
      union all
      select case when at.timestamp < ${time}::bigint then at.seq + 1 else low end,
        case when at.timestamp < ${time}::bigint then high else (low + high) / 2 end
      from search, lateral (
        select seq, timestamp from audit_logs where seq >= (low + high) / 2 order by seq limit 1
      ) as at
      where low < high
    )
    select low as seq from search where low >= high`);
  return Number(rows[0]?.seq ?? 0);
}
