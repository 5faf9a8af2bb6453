import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { archiveTasks } from "./archive-tasks.ts";
import { archiveEntries, removeEntries } from "./audit-entries.ts";
import { findOldTasks } from "./old-tasks.ts";
import { acquirePassLock, releasePassLock } from "./pass-lock.ts";
import { removeTasks } from "./remove-tasks.ts";

const DAY_MS = 86_400_000;
/** The most tasks of one archive, and so of one transaction that removes them. */
const PER_ARCHIVE = 500;

/** For how many days ended tasks and audit entries are kept; 0: for ever. */
export interface KeptDays {
  tasks: number;
  auditEntries: number;
}

const LONGEST_INTERVAL_MS = 300_000;

/** How often a pass is made: four times in the time for which something is kept, and every 5 minutes at least. One of the two must be set. */
export function passesEveryMs({ tasks, auditEntries }: KeptDays): number {
  const shortest = Math.min(...[tasks, auditEntries].filter((days) => days > 0));
  return Math.min(LONGEST_INTERVAL_MS, (shortest * DAY_MS) / 4);
}

/** What a pass needs: where outputs are, and the folder for archives. */
export interface Retention {
  store: OutputStorage;
  folder: string;
  days: KeptDays;
}

/**
 * Makes one pass: archives and removes all that is older than it is to be kept, in small transactions, and gives how many tasks and audit entries it
 * removed. An archive is complete and safe before anything in it is removed, so that a crash may leave records in two archives, and never in none.
 * Does nothing while another instance does this. `signal` ends the pass.
 */
export async function retainOnce(
  db: Db,
  { store, folder, days }: Retention,
  signal: AbortSignal,
): Promise<{ "tasks removed": number; "audit entries removed": number }> {
  const pass = newId();
  const removed = { "tasks removed": 0, "audit entries removed": 0 };
  // False when the pass has to end: it was aborted, or another pass took the lock.
  const renewLock = async () => !signal.aborted && (await acquirePassLock(db, pass));
  if (!(await renewLock())) return removed;
  let isDone = false;
  try {
    const now = await databaseTime(db);
    if (days.tasks > 0) {
      const cutoff = cutoffOf(now, days.tasks);
      removed["tasks removed"] = await removeOldTasks(db, { store, folder }, cutoff, signal, renewLock);
    }
    if (days.auditEntries > 0) {
      const cutoff = cutoffOf(now, days.auditEntries);
      const place = { folder, bucket: store.bucket };
      while (await renewLock()) {
        const archived = await archiveEntries(db, place, cutoff, signal);
        if (!archived) break;
        removed["audit entries removed"] += await removeEntries(db, archived, cutoff);
      }
    }
    isDone = !signal.aborted;
    return removed;
  } catch (error) {
    if (!signal.aborted) throw error;
    return removed;
  } finally {
    await releasePassLock(db, pass, isDone);
  }
}

const cutoffOf = (now: number, days: number) => Math.floor(now - days * DAY_MS);

async function removeOldTasks(
  db: Db,
  { store, folder }: Pick<Retention, "store" | "folder">,
  cutoff: number,
  signal: AbortSignal,
  renewLock: () => Promise<boolean>,
): Promise<number> {
  let removed = 0;
  for await (const ids of findOldTasks(db, cutoff, PER_ARCHIVE)) {
    for (let rest = ids; rest.length > 0; ) {
      if (!(await renewLock())) return removed;
      const archived = await archiveTasks(db, store, folder, rest, signal);
      if (!archived) break;
      removed += await removeTasks(db, store, archived, cutoff);
      rest = archived.rest;
    }
  }
  return removed;
}
