import { and, eq, sql } from "drizzle-orm";
import type { DeliveryFilter } from "../contract/filters.ts";
import { jsonOf } from "../db/column-lists.ts";
import type { Part, Source } from "../db/list-source.ts";
import { webhookDeliveries as deliveries } from "../db/webhook-tables.ts";

const FIELDS = [
  "id",
  "url",
  "type",
  "task_id",
  "entity_type",
  "entity_id",
  "occurred_at",
  "state",
  "attempts",
  "created_at",
  "ended_at",
  "last_status",
  "last_error",
];

/** The list of the deliveries that match the filter, newest first. */
export function deliveryList(filter: DeliveryFilter): Source {
  return {
    table: deliveries,
    id: deliveries.id,
    time: deliveries.created_at,
    parts: [partOf(filter)],
    record: jsonOf(
      FIELDS,
      sql`case when url is null then target end as webhook_id, case when state = 'pending' then next_at end as next_at`,
    ),
    weight: sql`500`,
    order: "newest first",
  };
}

function partOf({ webhook_id, state, task_id }: DeliveryFilter): Part {
  const others = and(
    state && eq(deliveries.state, state),
    task_id === undefined ? undefined : eq(deliveries.task_id, task_id),
  );
  if (webhook_id !== undefined) return { only: { column: deliveries.target, value: webhook_id }, sift: others };
  const isFailed = sql`${deliveries.state} = 'failed'`;
  return state === "failed" ? { where: isFailed, sift: others } : { sift: others };
}
