import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { statement } from "../db/statement.ts";
import { freeRoom } from "../fleet/capacity.ts";

/** What decides which tasks a worker can take, as it was when somebody looked. */
export interface WorkerSnapshot {
  /** The text of a JSON array. */
  labels: string;
  hasRoom: boolean;
}

const CHANGED = statement<WorkerSnapshot & { id: string }, { ids: string[]; labels: string[]; hadRoom: string[] }>(
  "changed_workers",
  sql`select * from (
      select ${workers.id} as id, ${workers.labels}::text as labels, ${freeRoom} > 0 as "hasRoom", known.labels as had_labels, known.had_room
      from unnest(${sql.placeholder("ids")}::text[], ${sql.placeholder("labels")}::text[], ${sql.placeholder("hadRoom")}::bool[])
        as known (id, labels, had_room)
      join ${workers} on ${workers.id} = known.id
    ) as now
    where labels is distinct from had_labels or "hasRoom" <> had_room`,
);

/**
 * The workers, by id, whose labels or room are not as in `known`, each as it is now. Costs two look-ups by index for each worker. A worker that
 * was removed is left out.
 */
export async function changedWorkers(db: Db, known: Map<string, WorkerSnapshot>): Promise<Map<string, WorkerSnapshot>> {
  const snapshots = [...known.values()];
  const changed = await CHANGED(db, {
    ids: [...known.keys()],
    labels: snapshots.map(({ labels }) => labels),
    hadRoom: snapshots.map(({ hasRoom }) => String(hasRoom)),
  });
  return new Map(changed.map(({ id, labels, hasRoom }) => [id, { labels, hasRoom }]));
}
