import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { KEPT_MS, RETRY_MS } from "./delivery-times.ts";

const PER_PASS = 1_000;

/** Removes deliveries that were queued a week ago and are not tried any more, and rests of targets that are long over. Gives how many deliveries. */
export async function cleanDeliveries(db: Db): Promise<number> {
  const { rows } = await db.execute<{ removed: number }>(sql`
    with old as (
      select id from runtime_webhook_deliveries
      where created_at < ${nowMs} - ${KEPT_MS}::bigint and retry_until < ${nowMs} - ${KEPT_MS - RETRY_MS}::bigint
      order by created_at limit ${PER_PASS} for update skip locked
    ), removed as (
      delete from runtime_webhook_deliveries where id in (select id from old) returning id
    ), rested as (
      delete from runtime_webhook_rests where until < ${nowMs} - ${KEPT_MS}::bigint
    )
    select count(*)::int as removed from removed`);
  return rows[0]?.removed ?? 0;
}
