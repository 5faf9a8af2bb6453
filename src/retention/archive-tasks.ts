import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { causesOf, messageOf } from "../errors.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { type ArchivePlace, archiveName, writeArchive } from "./archive-file.ts";
import { readTask, type WholeTask } from "./read-task.ts";

/** An archive takes tasks until they have this number of characters, counted before they are compressed. */
const MOST_CHARACTERS = 64 * 1024 * 1024;

/** Tasks that are in an archive, and still in the database. */
export interface ArchivedTasks {
  archive: string;
  tasks: WholeTask[];
  /** The tasks that were too many or too large for this archive. */
  rest: string[];
}

/** Ends the writing of an archive when it is found that none of the tasks can be archived, so that no empty archive is left. */
class NothingArchived extends Error {}

/** PostgreSQL gave up reading a row, could not make JSON of it or found it damaged, or its text is too long for Node.js. */
const UNREADABLE = /^(57014|53200|54\w{3}|XX\w{3}|ERR_STRING_TOO_LONG)$/;

function isUnreadable(error: unknown): boolean {
  for (const cause of causesOf(error)) if ("code" in cause && UNREADABLE.test(String(cause.code))) return true;
  return false;
}

/**
 * Writes the tasks into an archive of their own, one whole task after the other, with one long row in memory at a time. A task that cannot be read
 * is passed over. Undefined: there is no archive, since all of the tasks are gone or must stay.
 */
export async function archiveTasks(
  db: Db,
  store: OutputStorage,
  folder: string,
  ids: string[],
  signal: AbortSignal,
): Promise<ArchivedTasks | undefined> {
  const tasks: WholeTask[] = [];
  let next = 0;
  async function* lines(): AsyncGenerator<string> {
    for (let characters = 0; next < ids.length && characters < MOST_CHARACTERS; next++) {
      const id = ids[next] ?? "";
      try {
        const reading = readTask(db, store, id, signal);
        let step = await reading.next();
        for (; !step.done; step = await reading.next()) {
          characters += step.value.length;
          yield step.value;
        }
        if (step.value) tasks.push(step.value);
      } catch (error) {
        if (signal.aborted || !isUnreadable(error)) throw error;
        // Lines of it that are in the archive already do no harm: the task stays.
        store.log.warn({ task: id, reason: messageOf(error) }, "an old task is not removed, since it cannot be read");
      }
    }
    if (tasks.length === 0) throw new NothingArchived();
  }
  const place: ArchivePlace = { folder, bucket: store.bucket };
  try {
    const archive = await writeArchive(place, archiveName("tasks", new Date(), newId()), lines(), signal);
    return { archive, tasks, rest: ids.slice(next) };
  } catch (error) {
    if (error instanceof NothingArchived) return undefined;
    throw error;
  }
}
