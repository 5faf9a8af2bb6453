import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { workers } from "../db/schema.ts";
import { statement } from "../db/statement.ts";
import { freeRoom } from "../fleet/capacity.ts";

/** What decides which tasks a worker can take. */
export interface Standing {
  /** As the text of a JSON array. */
  labels: string;
  hasRoom: boolean;
}

const CHANGED = statement<Standing & { id: string }, { ids: string[]; labels: string[]; hadRoom: string[] }>(
  "changed_standing",
  sql`select * from (
      select ${workers.id} as id, ${workers.labels}::text as labels, ${freeRoom} > 0 as "hasRoom", known.labels as had_labels, known.had_room
      from unnest(${sql.placeholder("ids")}::text[], ${sql.placeholder("labels")}::text[], ${sql.placeholder("hadRoom")}::bool[])
        as known (id, labels, had_room)
      join ${workers} on ${workers.id} = known.id
    ) as now
    where labels is distinct from had_labels or "hasRoom" <> had_room`,
);

/** How those workers stand now of whom something else is known; two look-ups by index for each worker. */
export async function changedStandings(db: Db, known: Map<string, Standing>): Promise<Map<string, Standing>> {
  const standings = [...known.values()];
  const changed = await CHANGED(db, {
    ids: [...known.keys()],
    labels: standings.map(({ labels }) => labels),
    hadRoom: standings.map(({ hasRoom }) => String(hasRoom)),
  });
  return new Map(changed.map(({ id, labels, hasRoom }) => [id, { labels, hasRoom }]));
}
