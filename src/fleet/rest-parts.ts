/**
 * Parts shared by the statements that count failures in a row and let a worker rest for them. Their CTE `failed` is the lease of the failed attempt,
 * `self` its worker, and `verdict` has the worker's `id`, `must_rest`, `rest_ms` and `reason`.
 */
import { type SQL, sql } from "drizzle-orm";
import { type EntryInSql, insertAudit } from "../db/audit.ts";
import { nowMs } from "../db/clock.ts";

/** False for a lease that began before the end of the last rest: it belongs to the failures that led to that rest, and does not count. */
export const beganAfterRest = sql`(self.rest is null or failed.started_at >= (self.rest ->> 'until')::bigint)`;

/** The rest of the worker `w` as `verdict` has it. */
export const restByVerdict = (kind: "failures" | "trouble") =>
  sql`case when must_rest then jsonb_build_object('kind', ${sql.raw(`'${kind}'`)}, 'reason', reason, 'until', ${nowMs} + rest_ms) else w.rest end`;

/** The INSERT of the audit entry where the worker must rest. */
export function insertRested(entryId: SQL): SQL {
  const entry: EntryInSql = {
    id: entryId,
    timestamp: nowMs,
    action: "worker_rested",
    entity_type: sql`'worker'`,
    entity_id: sql`id`,
    actor: sql`'runtime'`,
    detail: sql`'Worker ' || id || ' rests for ' || rest_ms / 1000 || ' s: ' || reason`,
  };
  return insertAudit(entry, sql`verdict where must_rest`);
}
