import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { statement } from "../db/statement.ts";
import { load, loadCte, maxConcurrency, workersWithLoad } from "../fleet/capacity.ts";
import {
  findByLabels,
  isAvailable,
  isCallable,
  labelSetsWithin,
  mayBeTakenByOneOf,
  ofTaskRow,
} from "../fleet/matching.ts";
import { firstOfFreeKeys, searchInSteps } from "./free-keys.ts";
import { oldestOf, orderColumns, queueOrder } from "./queue-order.ts";

/** The workers with the same labels, and the room that they have together. */
interface Room {
  labels: string[];
  room: number;
}

interface Waiting {
  id: string;
  requires: string[];
  concurrency_key: string | null;
  is_cut_off: boolean;
}
type Values = { labels: string; limit: number };

/** The number of tasks that are looked at, shared out among the sets of labels that they ask for; at least one of each set. */
const LOOKED_AT = 2_000;

/** True for a worker with room whose agent the service may call. */
const isAble = sql`${isAvailable} and ${isCallable} and ${load} < ${maxConcurrency}`;

const ROOMS = statement<Room, Record<string, never>>(
  "rooms",
  sql`with ${loadCte()}
    select ${workers.labels} as labels, sum(${maxConcurrency} - ${load})::int as room
    from ${workersWithLoad}
    where ${isAble}
    group by labels`,
);

const limit = sql`(select greatest(1, least(${sql.placeholder("limit")}::int, ${sql.raw(String(LOOKED_AT))} / greatest(1, count(*))))::int from sets)`;
const columns = sql`${orderColumns}, requires`;
const condition = mayBeTakenByOneOf(sql`able`, ofTaskRow);
const oldestOfEachSet = <Given extends Values>(name: string, oldest: SQL) =>
  statement<Waiting, Given>(
    name,
    sql`with recursive ${loadCte()}, able as materialized (
      select ${workers}.* from ${workersWithLoad} where ${isAble}
    ), ${labelSetsWithin(sql`${sql.placeholder("labels")}::jsonb`)}
    select id, requires, concurrency_key, is_cut_off from sets cross join lateral (${oldest}) as oldest
    order by ${queueOrder()}`,
  );
const wanted = { labelSet: sql`sets.key`, condition, limit };
const lookedAt = sql`(${limit} + ${sql.placeholder("lookedAt")}::int)`;
const IN_ORDER = oldestOfEachSet<Values & { lookedAt: number }>("oldest", oldestOf(columns, { ...wanted, lookedAt }));
const mostKeys = sql`${sql.placeholder("mostKeys")}::int`;
const BY_KEY = oldestOfEachSet<Values & { mostKeys: number }>(
  "oldest_by_key",
  firstOfFreeKeys(columns, { ...wanted, mostKeys }),
);
const AMONG_ALL = oldestOfEachSet<Values>("oldest_among_all", oldestOf(columns, wanted));

/**
 * The ids of the oldest due tasks that workers with an address have room for, `limit` at most. Each task takes up room that its labels allow, so
 * that tasks which nobody can take do not stand in the way of others. Most calls end with the first query, when nobody has room.
 */
export async function findDispatchable(db: Db, limit: number): Promise<string[]> {
  const rooms = await ROOMS(db, {});
  if (rooms.length === 0) return [];
  const groups = rooms.map(({ labels, room }) => ({ labels: new Set(labels), room }));
  const findGroup = findByLabels(groups);
  const labels = [...new Set(rooms.flatMap((each) => each.labels))];
  const found: string[] = [];
  const keys = new Set<string>();
  const values = { labels: JSON.stringify(labels), limit };
  const oldest = await searchInSteps({
    inOrder: (lookedAt) => IN_ORDER(db, { ...values, lookedAt }),
    byKey: (mostKeys) => BY_KEY(db, { ...values, mostKeys }),
    amongAll: () => AMONG_ALL(db, values),
    isCutOff: (tasks: Waiting[]) => tasks.some((task) => task.is_cut_off),
  });
  for (const { id, requires, concurrency_key: key } of oldest) {
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
