import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { statement } from "../db/statement.ts";
import { isFree, load, loadCte, maxConcurrency, workersWithLoad } from "../fleet/capacity.ts";
import { findByLabels, isCallable, labelSetsWithin, mayBeTakenByOneOf, ofTaskRow } from "../fleet/matching.ts";
import { oldestOf, orderColumns, queueOrder } from "./queue-order.ts";

/** The workers with the same labels, and the room that they have together. */
interface WorkerGroup {
  labels: string[];
  room: number;
}

interface Waiting {
  id: string;
  requires: string[];
  concurrency_key: string | null;
}

/** The number of tasks that are looked at, shared out among the sets of labels that they ask for; at least one of each set. */
const LOOKED_AT = 2_000;

/** True for a worker with room whose agent the service may call. */
const isAble = sql`${isFree} and ${isCallable}`;

const GROUPS = statement<WorkerGroup, Record<string, never>>(
  "groups_with_room",
  sql`with ${loadCte()}
    select ${workers.labels} as labels, sum(${maxConcurrency} - ${load})::int as room
    from ${workersWithLoad}
    where ${isAble}
    group by labels`,
);

const limit = sql`(select greatest(1, least(${sql.placeholder("limit")}::int, ${sql.raw(String(LOOKED_AT))} / greatest(1, count(*))))::int from sets)`;
const OLDEST = statement<Waiting, { labels: string; limit: number }>(
  "oldest_of_each_set",
  sql`with recursive ${loadCte()}, able as materialized (
      select ${workers}.* from ${workersWithLoad} where ${isAble}
    ), ${labelSetsWithin(sql`${sql.placeholder("labels")}::jsonb`)}
    select id, requires, concurrency_key from sets cross join lateral (
      ${oldestOf(sql`${orderColumns}, requires`, { labelSet: sql`sets.label_set`, condition: mayBeTakenByOneOf(sql`able`, ofTaskRow), limit })}
    ) as oldest
    order by ${queueOrder()}`,
);

/**
 * The ids of the oldest due tasks that workers with an address have room for, `limit` at most. Each task reserves a slot of a worker with its labels.
 * A task for which no such slot is left is passed over, so that it does not stand in the way of others. Most calls end with the first query, when
 * nobody has room.
 */
export async function findDispatchable(db: Db, limit: number): Promise<string[]> {
  const rows = await GROUPS(db, {});
  if (rows.length === 0) return [];
  const groups = rows.map(({ labels, room }) => ({ labels: new Set(labels), room }));
  const findGroup = findByLabels(groups);
  const labels = [...new Set(rows.flatMap((each) => each.labels))];
  const found: string[] = [];
  const keys = new Set<string>();
  for (const { id, requires, concurrency_key: key } of await OLDEST(db, { labels: JSON.stringify(labels), limit })) {
    // Only the first of several tasks with one key can be leased.
    if (key !== null && keys.has(key)) continue;
    const group = findGroup(requires, ({ room }) => room > 0);
    if (!group) continue;
    group.room -= 1;
    if (key !== null) keys.add(key);
    found.push(id);
    if (found.length === limit) break;
  }
  return found;
}
