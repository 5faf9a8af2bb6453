import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { accounts, workers } from "../db/fleet-tables.ts";
import { takeableFrom } from "../db/queued-indexes.ts";
import { WORKER_STATUSES } from "../db/statuses.ts";
import { leases, llmTasks } from "../db/task-tables.ts";
import { webhookDeliveries, webhooks } from "../db/webhook-tables.ts";
import { accountOf } from "../fleet/account-pace.ts";
import { freeRoomBeside, load, loadCte, workersWithLoad } from "../fleet/capacity.ts";
import { isDrained } from "../fleet/matching.ts";
import { isInForce, isResting } from "../fleet/worker-rest.ts";

/** What the database says of the queue and the fleet now. Every instance reads the same. */
export type Gauges = {
  /** For how long the task that is due for longest has been queued, in milliseconds; 0 where none is due. */
  oldest_due_ms: number;
  /** Active leases that are overdue, which the next sweep ends. */
  overdue_leases: number;
  workers: Record<string, number>;
  drained: number;
  resting: number;
  /** Active leases, and how many more tasks the workers that are online could get. */
  slots: { used: number; free: number };
  accounts: { all: number; limited: number; paced: number };
  /** Messages that wait to be sent, or to be sent again; how long the oldest of them has waited whose webhook is on; webhooks that are off. */
  webhooks: { pending: number; oldest_ms: number; off: number };
};

const freeSlots = sql`case when ${workers.status} = 'online' then ${freeRoomBeside(load)} else 0 end`;
const countWhere = (condition: SQL) => sql`count(*) filter (where ${condition})`;
const byStatus = sql.join(
  WORKER_STATUSES.map(
    (status) => sql`${sql.raw(`'${status}'`)}, ${countWhere(sql`${workers.status} = ${sql.raw(`'${status}'`)}`)}`,
  ),
  sql`, `,
);

/** In SQL, the webhooks that are off, as the part of a query that follows `from`. */
const webhooksOff = sql`${webhooks} where ${webhooks.off_since} is not null`;

/**
 * Reads the gauges in one statement. The oldest task is the first entry of an index; of the growing tables, only active leases are counted.
 */
export async function readGauges(db: Db): Promise<Gauges> {
  const { rows } = await db.execute<Gauges>(sql`
    with ${loadCte(sql`, ${countWhere(sql`${leases.expires_at} <= ${nowMs}`)} as overdue`)}, fleet as (
      select json_build_object(${byStatus}) as workers, ${countWhere(isDrained)}::int as drained, ${countWhere(isResting)}::int as resting,
        coalesce(sum(${freeSlots}), 0)::int as free, count(distinct ${accountOf})::int as accounts
      from ${workersWithLoad}
    )
    select coalesce(${nowMs} - (
        select min(${takeableFrom(llmTasks)}) from ${llmTasks} where ${llmTasks.status} = 'queued' and ${takeableFrom(llmTasks)} <= ${nowMs}
      ), 0)::float8 as oldest_due_ms,
      (select coalesce(sum(overdue), 0)::int from load) as overdue_leases, fleet.workers, drained, resting,
      json_build_object('used', (select coalesce(sum(active), 0)::int from load), 'free', free) as slots,
      (select json_build_object('all', fleet.accounts, 'limited', ${countWhere(isInForce(accounts.rest))}, 'paced', ${countWhere(sql`${accounts.paced_until} > ${nowMs}`)})
        from ${accounts}) as accounts,
      (select json_build_object('pending', count(*), 'off', (select count(*) from ${webhooksOff}),
        'oldest_ms', coalesce(${nowMs} - min(${webhookDeliveries.created_at}) filter (where ${webhookDeliveries.target} not in (select id::text from ${webhooksOff})), 0))
        from ${webhookDeliveries} where ${webhookDeliveries.state} = 'pending') as webhooks
    from fleet`);
  const [gauges] = rows;
  if (!gauges) throw new Error("The gauges gave no row.");
  return gauges;
}
