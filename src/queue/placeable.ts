import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { leases, workers } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
import { isEligible, maxConcurrency } from "../fleet/capacity.ts";
import { takesCalls } from "../fleet/refusals.ts";
import { oldestOf, setsWithin, turn } from "./oldest.ts";

/** The workers with the same labels, and the room that they have together. */
interface Room {
  labels: string[];
  room: number;
}

interface Waiting {
  id: string;
  requires: string[];
}

/** So many tasks are looked at, shared out among the sets of labels that they ask for; of each set at least the oldest. */
const LOOKED_AT = 2_000;

const ROOMS = statement<Room, Record<string, never>>(
  "rooms",
  sql`with load as materialized (
      select worker_id, count(*) as active from ${leases} where status = 'active' group by worker_id
    )
    select ${workers.labels} as labels, sum(${maxConcurrency} - coalesce(load.active, 0))::int as room
    from ${workers} left join load on load.worker_id = ${workers.id}
    where ${isEligible(sql`'[]'::jsonb`)} and ${workers.url} <> '' and ${takesCalls} and coalesce(load.active, 0) < ${maxConcurrency}
    group by labels`,
);

const limit = sql`(select greatest(1, least(${sql.placeholder("limit")}::int, ${sql.raw(String(LOOKED_AT))} / greatest(1, count(*))))::int from sets)`;
const OLDEST = statement<Waiting, { labels: string; limit: number }>(
  "oldest_of_each_set",
  sql`with recursive ${setsWithin(sql`(select bloom_runtime.label_key(${sql.placeholder("labels")}::jsonb))`)}
    select id, requires from sets cross join lateral (
      ${oldestOf(sql`id, requires, created_at`, sql`sets.key`, limit)}
    ) as oldest
    order by ${turn()}`,
);

/**
 * The ids of the oldest due tasks that workers with an address have room for, `limit` at most: each takes a place that its labels allow, so
 * that what nobody can take stands in nobody's way. Most calls end with the first query, when nobody has room.
 */
export async function placeable(db: Db, limit: number): Promise<string[]> {
  const rooms = await ROOMS(db, {});
  if (rooms.length === 0) return [];
  const groups = rooms.map(({ labels, room }) => ({ labels: new Set(labels), room }));
  const byLabel = new Map<string, typeof groups>();
  for (const group of groups)
    for (const label of group.labels) {
      const some = byLabel.get(label);
      if (some) some.push(group);
      else byLabel.set(label, [group]);
    }
  const placed: string[] = [];
  for (const { id, requires } of await OLDEST(db, { labels: JSON.stringify([...byLabel.keys()]), limit })) {
    // Those of its rarest label: each of 10,000 workers may have labels of its own.
    const able = requires
      .map((label) => byLabel.get(label) ?? [])
      .reduce((rarest, some) => (some.length < rarest.length ? some : rarest), groups);
    const group = able.find(({ labels, room }) => room > 0 && requires.every((label) => labels.has(label)));
    if (!group) continue;
    group.room -= 1;
    placed.push(id);
    if (placed.length === limit) break;
  }
  return placed;
}
