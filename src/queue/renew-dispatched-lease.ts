import { sql } from "drizzle-orm";
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { statement } from "../db/statement.ts";
import { leaseIsActive } from "./fence.ts";

const RENEW = statement<{ status: Task["status"] }, { leaseId: string }>(
  "renew",
  sql`with renewed as (
      update leases l set last_heartbeat = ${nowMs}, expires_at = ${nowMs} + l.ttl_seconds * 1000::bigint
      where l.id = ${sql.placeholder("leaseId")} and ${leaseIsActive}
      returning l.task_id
    )
    select t.status from renewed join llm_tasks t on t.id = renewed.task_id`,
);

/**
 * Renews an active lease while the service's own call to the agent is open, and gives the task's status; undefined when the lease has ended.
 * Unlike a heartbeat, this says neither that the worker lives nor that the task was started, since a call may stay open when the machine is gone.
 * Only the lease is locked, so that no deadlock with a transition of the task is possible.
 */
export async function renewDispatchedLease(db: Db, leaseId: string): Promise<Task["status"] | undefined> {
  return (await RENEW(db, { leaseId }))[0]?.status;
}
