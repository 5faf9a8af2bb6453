import type { SQL } from "drizzle-orm";
import type { ChangedTasks } from "../contract/bulk.ts";
import { Conflict, NotFound } from "../errors.ts";

/** A change of tasks that still match a condition. */
export interface BatchChange {
  /** Locks a task, and changes it if it still matches. NotFound: it does not match any more. Conflict: it cannot be changed. */
  change(id: string, which: SQL | undefined): Promise<unknown>;
  /**
   * Changes those of the tasks that still match (`done`), in one statement, which passes over tasks that others have locked (`locked`). The rest do
   * not match any more.
   */
  together?(ids: string[], which: SQL | undefined): Promise<{ done: string[]; locked: string[] }>;
}

/** The most tasks that one statement changes. */
const AT_A_TIME = 64;

/**
 * Changes the tasks, and counts them in `answer`, until the process's time `endAt`. False: the time was up before all were tried. Throws a fault of
 * the database, with the changes before it counted.
 */
export async function changeInBatches(
  { change, together }: BatchChange,
  ids: string[],
  which: SQL | undefined,
  answer: ChangedTasks,
  endAt: number,
): Promise<boolean> {
  let left = ids;
  // Two rounds: what is locked in the first is nearly always being changed by another call like this one, which is done with it by the second.
  for (let round = 0; together && round < 2; round++) {
    const locked: string[] = [];
    for (let at = 0; at < left.length; at += AT_A_TIME) {
      if (performance.now() > endAt) return false;
      const batch = left.slice(at, at + AT_A_TIME);
      const found = await together(batch, which);
      locked.push(...found.locked);
      answer.changed += found.done.length;
      answer.refused += batch.length - found.done.length - found.locked.length;
    }
    left = locked;
  }
  for (const id of left) {
    if (performance.now() > endAt) return false;
    try {
      await change(id, which);
      answer.changed++;
    } catch (error) {
      if (!(error instanceof Conflict || error instanceof NotFound)) throw error;
      answer.refused++;
    }
  }
  return true;
}
