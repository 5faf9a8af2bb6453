import { sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { workers } from "../db/schema.ts";
import { statement } from "../db/statement.ts";

/** Without a sign of life for this long, a worker is offline (lifecycle.md, "When is a worker online?"). */
export const OFFLINE_AFTER_MS = 60_000;

/** A sign of life that comes so soon after the last one is not written: workers with many tasks would wait for their own row. */
const WRITTEN_EVERY_MS = 1_000;

/** The worker has given no sign of life lately, so that one of now is worth noting. */
export const isQuiet = sql`(${workers.status} in ('offline', 'unknown')
  or coalesce(${workers.last_heartbeat}, 0) < ${nowMs} - ${sql.raw(String(WRITTEN_EVERY_MS))})`;

type Values = { workerId: string; evidence: string; entryId: string };
const given = (name: keyof Values) => sql`${sql.placeholder(name)}::text`;

const SIGN_OF_LIFE = statement<never, Values>(
  "sign_of_life",
  sql`with before as (
      select id, status from ${workers} where id = ${given("workerId")} for no key update
    ), after as (
      update ${workers} as w
      set last_heartbeat = ${nowMs},
        status = case when before.status in ('offline', 'unknown') then 'online' else before.status end
      from before where w.id = before.id
      returning before.status as was, w.last_heartbeat as now
    )
    insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
    select ${sql.placeholder("entryId")}::uuid, now, 'worker_online', 'worker', ${given("workerId")}, 'runtime',
      'Worker ' || ${given("workerId")} || ' was ' || was || ' and is online: ' || ${given("evidence")}
    from after where was in ('offline', 'unknown')`,
);

/**
 * Writes down a sign of life of the worker. A worker that was offline or unknown is online again, which is audited once.
 * An unknown id is no fault: the worker may have been removed while it worked. Locks the worker: after the task, before the lease. It may run
 * by itself after the transition that is the evidence: should it be lost, the next sign of life makes up for it.
 */
export async function recordSignOfLife(db: Db, workerId: string, evidence: string): Promise<void> {
  await SIGN_OF_LIFE(db, { workerId, evidence, entryId: newId() });
}

/**
 * Marks the workers offline that have shown no sign of life for a minute, each once, and gives their names. Workers that are locked
 * are just now showing one, and are left for the next pass.
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
    ...rows.map(({ id, was }) => ({
      action: "worker_offline",
      entity_type: "worker",
      entity_id: id,
      actor: "runtime",
      detail: `Worker ${id} was ${was} and gave no sign of life for ${OFFLINE_AFTER_MS / 1_000} s`,
    })),
  );
  return rows.map(({ id }) => id);
}
