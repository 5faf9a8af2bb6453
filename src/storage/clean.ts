import { and, asc, eq, isNull, lt, notExists, or, type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { stagedOutputs } from "../db/output-tables.ts";
import { leases } from "../db/schema.ts";
import { messageOf } from "../errors.ts";
import { artifactKey } from "./artifact-key.ts";
import type { ArtifactStore } from "./place.ts";
import { unstage } from "./staging.ts";

/** A worker that cannot reach us keeps a finished result and tries again; after a day it does not come any more. */
const STALE_MS = 24 * 3_600_000;
const PER_PASS = 100;

/**
 * Removes what was uploaded, or put into the bucket, for a completion that never came; gives how many. An output that a completion has taken
 * over has no staged row any more, so that nothing that belongs to an artifact is ever removed. `signal` ends the pass, a removal in flight too.
 */
export async function cleanOnce(db: Db, { bucket, log }: ArtifactStore, signal?: AbortSignal): Promise<number> {
  const stale = await db
    .select({ id: stagedOutputs.id, task_id: stagedOutputs.task_id, bucket: stagedOutputs.bucket, isTaken })
    .from(stagedOutputs)
    .where(and(isStale(db), bucket ? isOurs(bucket.name) : isNull(stagedOutputs.bucket)))
    .orderBy(asc(stagedOutputs.created_at))
    .limit(PER_PASS);
  let cleaned = 0;
  for (const { id, task_id, ...staged } of stale) {
    if (signal?.aborted) break;
    // From here on no completion takes it over: only whole ones are. One that has begun to, or has done so, meanwhile has changed the row.
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
      log.warn({ reason: messageOf(error) }, "outputs that nobody took stay in the bucket for now");
      break;
    }
    if (staged.isTaken) await db.delete(stagedOutputs).where(eq(stagedOutputs.id, id));
    else await unstage(db, id);
    cleaned += 1;
  }
  return cleaned;
}

/** Old, and of no lease that is still worked under. */
function isStale(db: Db): SQL | undefined {
  const lease = db
    .select({ one: sql`1` })
    .from(leases)
    .where(and(eq(leases.id, stagedOutputs.lease_id), eq(leases.status, "active")));
  return and(lt(stagedOutputs.created_at, sql`${nowMs} - ${STALE_MS}`), notExists(lease));
}

/** There may be no object of it, or one that we can remove: that of another bucket is for who has that. */
const isOurs = (name: string) => or(isNull(stagedOutputs.bucket), eq(stagedOutputs.bucket, name));

/** An artifact came of it after all: then its bytes are that one's. By its name, as Drizzle leaves the table out of a selected column. */
const isTaken = sql<boolean>`exists (select 1 from runtime_artifacts a where a.id = runtime_staged_outputs.id)`;
