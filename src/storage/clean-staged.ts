import { and, asc, eq, isNull, lt, notExists, or, type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { stagedOutputs } from "../db/output-tables.ts";
import { leases } from "../db/task-tables.ts";
import { messageOf } from "../errors.ts";
import { artifactKey } from "./artifact-key.ts";
import type { OutputStorage } from "./output-storage.ts";
import { unstage } from "./staging.ts";

/** A worker that cannot reach the service keeps its result and tries again, but not for as long as a day. */
const STALE_MS = 24 * 3_600_000;
const PER_PASS = 100;

/**
 * Makes one pass: removes outputs that were uploaded, or put into the bucket, for a completion that never came, and gives how many. An output that a
 * completion took over has no staged row any more, so that nothing is removed that belongs to an artifact. `signal` ends the pass, and a removal
 * that just runs.
 */
export async function cleanOnce(db: Db, { bucket, log }: OutputStorage, signal?: AbortSignal): Promise<number> {
  const stale = await db
    .select({ id: stagedOutputs.id, task_id: stagedOutputs.task_id, bucket: stagedOutputs.bucket, isTaken })
    .from(stagedOutputs)
    .where(and(isStale(db), bucket ? isOurs(bucket.name) : isNull(stagedOutputs.bucket)))
    .orderBy(asc(stagedOutputs.created_at))
    .limit(PER_PASS);
  let cleaned = 0;
  for (const { id, task_id, ...staged } of stale) {
    if (signal?.aborted) break;
    // Without a size and a hash, no completion takes the output over any more. A completion that did so meanwhile has changed or deleted the row.
    const given = await db
      .update(stagedOutputs)
      .set({ size_bytes: null, sha256: null })
      .where(and(eq(stagedOutputs.id, id), isStale(db)))
      .returning({ id: stagedOutputs.id });
    if (given.length === 0) continue;
    try {
      if (staged.bucket !== null && !staged.isTaken) await bucket?.remove(artifactKey(task_id, id), signal);
    } catch (error) {
      if (signal?.aborted) break;
      log.warn({ reason: messageOf(error) }, "outputs without a completion stay in the bucket for now");
      break;
    }
    if (staged.isTaken) await db.delete(stagedOutputs).where(eq(stagedOutputs.id, id));
    else await unstage(db, id);
    cleaned += 1;
  }
  return cleaned;
}

/** True for a staged output that is old, and whose lease is not active. */
function isStale(db: Db): SQL | undefined {
  const lease = db
    .select({ one: sql`1` })
    .from(leases)
    .where(and(eq(leases.id, stagedOutputs.lease_id), eq(leases.status, "active")));
  return and(lt(stagedOutputs.created_at, sql`${nowMs} - ${STALE_MS}`), notExists(lease));
}

/**
 * True for a staged output without an object, or with one in our bucket. An object in another bucket is removed by the service that has
 * that bucket.
 */
const isOurs = (name: string) => or(isNull(stagedOutputs.bucket), eq(stagedOutputs.bucket, name));

/**
 * True when an artifact came of the output after all, which needs its bytes. The table is written out, since Drizzle leaves it out of
 * selected columns.
 */
const isTaken = sql<boolean>`exists (select 1 from runtime_artifacts a where a.id = runtime_staged_outputs.id)`;
