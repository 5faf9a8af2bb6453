import { eq, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { retention } from "../db/retention-table.ts";
import { inTransaction } from "../db/transaction.ts";
import { horizon } from "../events/read-events.ts";
import { isoTime } from "../format-iso-time.ts";
import { isReadForWebhooks } from "../webhooks/queue-deliveries.ts";
import { type ArchivePlace, archiveName, writeArchive } from "./archive-file.ts";
import type { Cutoff } from "./old-tasks.ts";
import { RETENTION } from "./pass-lock.ts";
import { lineOf } from "./read-task.ts";

/** The most entries of one archive, which are in memory at the same time. */
const PER_ARCHIVE = 5_000;

/** Entries that are in an archive, and still in the database. */
export interface ArchivedEntries {
  archive: string;
  seqs: string[];
}

/**
 * Writes the oldest entries into an archive, up to the first that is not older than the cutoff, or that webhooks have yet to be told of. The order is
 * that of the events (events/position.ts): a stream learns that it has missed some by finding none at or before its place. Undefined: there are none.
 */
export async function archiveEntries(
  db: Db,
  place: ArchivePlace,
  cutoff: Cutoff,
  signal: AbortSignal,
): Promise<ArchivedEntries | undefined> {
  const { rows } = await db.execute<{ seq: string; row: string; is_old: boolean }>(sql`
    select seq::text, to_jsonb(e)::text as row, timestamp < ${cutoff}::bigint and ${isReadForWebhooks} as is_old from audit_logs e
    where xid < ${horizon} order by xid, e.seq limit ${PER_ARCHIVE}`);
  const firstKept = rows.findIndex(({ is_old }) => !is_old);
  const old = firstKept < 0 ? rows : rows.slice(0, firstKept);
  if (old.length === 0) return undefined;
  async function* lines(): AsyncGenerator<string> {
    for (const { row } of old) yield lineOf("audit_logs", row);
  }
  const archive = await writeArchive(place, archiveName("audit", new Date(), newId()), lines(), signal);
  return { archive, seqs: old.map(({ seq }) => seq) };
}

/** Removes the archived entries, and gives how many; those that another pass has removed do not count. */
export async function removeEntries(db: Db, { archive, seqs }: ArchivedEntries, cutoff: Cutoff): Promise<number> {
  return inTransaction(db, async (tx) => {
    // The trigger that keeps the audit takes this as the leave to delete entries that are older.
    await tx.execute(sql`select set_config('bloom.audit_retention_cutoff', ${String(cutoff)}, true)`);
    const { rowCount } = await tx.execute(sql`delete from audit_logs where seq = any(${sql.param(seqs)}::bigint[])`);
    const removed = rowCount ?? 0;
    if (removed === 0) return 0;
    tx.onCommit(() => tx.meters.auditEntriesRemoved.add(removed));
    await tx
      .update(retention)
      .set({ audit_entries_removed: sql`${retention.audit_entries_removed} + ${removed}` })
      .where(eq(retention.name, RETENTION));
    await audit(tx, {
      action: "audit_entries_removed",
      entity_type: "archive",
      entity_id: archive,
      actor: "runtime",
      detail: `Removed ${removed} audit entries from before ${isoTime(cutoff)}`,
    });
    return removed;
  });
}
