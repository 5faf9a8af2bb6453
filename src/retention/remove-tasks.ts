import { eq, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { retention } from "../db/retention-table.ts";
import { inTransaction } from "../db/transaction.ts";
import { isoTime } from "../format-iso-time.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import type { ArchivedTasks } from "./archive-tasks.ts";
import { type Cutoff, isOld, versionOf } from "./old-tasks.ts";
import { RETENTION } from "./pass-lock.ts";

/**
 * Removes the tasks with all that is theirs, and gives how many. Those that somebody changed since they were archived, or changes just now, stay; so
 * does a task of which something is not older than the cutoff. Their objects are left to storage/clean-staged.ts, which removes them a day later. One
 * transaction removes all of them, adds to the counters, and writes one audit entry.
 */
export async function removeTasks(
  db: Db,
  { bucket }: OutputStorage,
  { archive, tasks }: Pick<ArchivedTasks, "archive" | "tasks">,
  cutoff: Cutoff,
): Promise<number> {
  return inTransaction(db, async (tx) => {
    // The triggers that keep artifacts take this as the leave to delete those that are older.
    await tx.execute(sql`select set_config('bloom.retention_cutoff', ${String(cutoff)}, true)`);
    const ids = await lockUnchanged(tx, tasks, cutoff);
    if (ids.length === 0) return 0;
    tx.onCommit(() => tx.meters.tasksRemoved.add(ids.length));
    const theirs = sql`task_id = any(${sql.param(ids)}::uuid[])`;
    const artifacts = await removeArtifacts(tx, theirs, bucket?.name);
    const { rowCount: results } = await tx.execute(sql`delete from llm_results where ${theirs}`);
    const { rowCount: leases } = await tx.execute(sql`delete from leases where ${theirs}`);
    await tx.execute(sql`delete from runtime_live_output where ${theirs}`);
    await tx.execute(sql`delete from llm_tasks where id = any(${sql.param(ids)}::uuid[])`);
    await tx
      .update(retention)
      .set({ tasks_removed: sql`${retention.tasks_removed} + ${ids.length}` })
      .where(eq(retention.name, RETENTION));
    await audit(tx, {
      action: "tasks_removed",
      entity_type: "archive",
      entity_id: archive,
      actor: "runtime",
      detail: `Removed ${ids.length} tasks that ended before ${isoTime(cutoff)}, with ${leases} leases, ${results} results and ${artifacts} artifacts`,
    });
    return ids.length;
  });
}

/** Locks those of the tasks that are still as they were archived, and gives their ids. A task that somebody else has locked is passed over. */
async function lockUnchanged(tx: Db, tasks: ArchivedTasks["tasks"], cutoff: Cutoff): Promise<string[]> {
  const ids = sql.param(tasks.map(({ id }) => id));
  const versions = sql.param(tasks.map(({ version }) => version));
  const { rows: locked } = await tx.execute<{ id: string }>(
    sql`select id from llm_tasks where id = any(${ids}::uuid[]) order by id for update skip locked`,
  );
  // A statement of its own, which sees what was committed before the locks were had. All that adds rows to a task locks it first.
  const { rows } = await tx.execute<{ id: string }>(sql`
    select t.id from unnest(${ids}::uuid[], ${versions}::text[]) as archived (id, version) join llm_tasks t on t.id = archived.id
    where t.id = any(${sql.param(locked.map(({ id }) => id))}::uuid[]) and ${versionOf} = archived.version and ${isOld(cutoff)}`);
  return rows.map(({ id }) => id);
}

/**
 * Removes the artifacts and their pieces. With a bucket, an object of each may be there, even where the row does not say so: it may just be moved
 * (storage/move-to-bucket.ts). Objects in a bucket that is not ours now stay there.
 */
async function removeArtifacts(tx: Db, theirs: ReturnType<typeof sql>, bucket: string | undefined): Promise<number> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    with gone as (
      delete from runtime_artifacts where ${theirs} returning id, task_id, url, size_bytes
    ), left_over as (
      insert into runtime_staged_outputs (id, task_id, created_at, bucket)
      select id, task_id, ${nowMs}, ${bucket ?? null} from gone
      where ${bucket ?? null}::text is not null
        and coalesce(url = 'minio://' || ${bucket ?? null}::text || '/artifacts/' || task_id || '/' || id, size_bytes is not null)
      on conflict (id) do nothing
    )
    select id from gone`);
  await tx.execute(
    sql`delete from runtime_output_chunks where output_id = any(${sql.param(rows.map(({ id }) => id))}::uuid[])`,
  );
  return rows.length;
}
