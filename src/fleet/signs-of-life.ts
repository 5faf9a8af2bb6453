import { sql } from "drizzle-orm";
import { type AuditFact, audit, type EntryInSql, insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { newId } from "../db/ids.ts";
import { statement } from "../db/statement.ts";

/** A worker without a sign of life for this time is offline (lifecycle.md, "When is a worker online?"). */
export const OFFLINE_AFTER_MS = 60_000;

/** A sign of life that comes within this time after the last one is not written: the calls of a worker with many tasks would wait for its row. */
const WRITTEN_EVERY_MS = 1_000;

/** True in SQL for a worker that becomes online with its next sign of life. */
export const comesOnline = sql`(${workers.status} in ('offline', 'unknown'))`;
/** True in SQL for a worker whose next sign of life is worth writing: it makes the worker online, or the last one is more than a second old. */
export const needsSign = sql`(${comesOnline}
  or coalesce(${workers.last_heartbeat}, 0) < ${nowMs} - ${sql.raw(String(WRITTEN_EVERY_MS))})`;

/**
 * For an UPDATE of the worker's row by its own call: the time of its last sign of life. The sign that makes a worker online is written by
 * `recordSignOfLife` instead, with its audit entry.
 */
export const signOfLife = sql`last_heartbeat = case when ${comesOnline} then ${workers.last_heartbeat} else ${nowMs} end`;

type Values = { workerId: string; evidence: string; entryId: string };
const given = (name: keyof Values) => sql`${sql.placeholder(name)}::text`;

const BACK_ONLINE: EntryInSql = {
  id: sql`${sql.placeholder("entryId")}::uuid`,
  timestamp: sql`now`,
  action: "worker_online",
  entity_type: sql`'worker'`,
  entity_id: given("workerId"),
  actor: sql`'runtime'`,
  detail: sql`'Worker ' || ${given("workerId")} || ' was ' || was || ' and is online: ' || ${given("evidence")}`,
};

const SIGN_OF_LIFE = statement<never, Values>(
  "sign_of_life",
  sql`with before as (
      select id, status from ${workers} where id = ${given("workerId")} for no key update skip locked
    ), after as (
      update ${workers} as w
      set last_heartbeat = ${nowMs},
        status = case when before.status in ('offline', 'unknown') then 'online' else before.status end
      from before where w.id = before.id
      returning before.status as was, w.last_heartbeat as now
    )
    ${insertAudit(BACK_ONLINE, sql`after where was in ('offline', 'unknown')`)}`,
);

/**
 * Writes down a sign of life of the worker; `evidence` says what it was. A worker that was offline or unknown becomes online, which is audited. An
 * unknown worker is no fault, since it may have been removed while it worked. Locks the worker, after the task and before the lease. This may run
 * after the commit of the transition that is the evidence. While the worker's row is locked, the sign is not written; the next sign makes up for it.
 */
export async function recordSignOfLife(db: Db, workerId: string, evidence: string): Promise<void> {
  await SIGN_OF_LIFE(db, { workerId, evidence, entryId: newId() });
}

/**
 * Marks workers offline that gave no sign of life for a minute, and gives their names. A worker that is locked is just giving one, and is left for
 * the next pass.
 */
export async function markSilentOffline(tx: Db): Promise<string[]> {
  const { rows } = await tx.execute<{ id: string; was: string }>(sql`
    with silent as (
      select id, status from ${workers}
      where status in ('online', 'syncing', 'error') and coalesce(last_heartbeat, 0) < ${nowMs} - ${OFFLINE_AFTER_MS}
      order by id for no key update skip locked
    )
    update ${workers} as w set status = 'offline'
    from silent where w.id = silent.id
    returning w.id, silent.status as was`);
  await audit(
    tx,
    ...rows.map(
      ({ id, was }): AuditFact => ({
        action: "worker_offline",
        entity_type: "worker",
        entity_id: id,
        actor: "runtime",
        detail: `Worker ${id} was ${was} and gave no sign of life for ${OFFLINE_AFTER_MS / 1_000} s`,
      }),
    ),
  );
  return rows.map(({ id }) => id);
}
