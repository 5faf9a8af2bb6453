import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import type { ArtifactStore } from "../storage/artifact-store.ts";
import { type ArchivePlace, archiveName, writeArchive } from "./archive-file.ts";
import { readTask, type WholeTask } from "./read-task.ts";

/** An archive ends after the task with which it has so many characters before it is compressed. */
const MOST_CHARACTERS = 64 * 1024 * 1024;

/** Tasks that are in an archive, and still in the database. */
export interface ArchivedTasks {
  archive: string;
  tasks: WholeTask[];
  /** The tasks that the archive had no more room for. */
  rest: string[];
}

/** No task could be archived, so that there is no archive. */
class NothingArchived extends Error {}

/**
 * Writes the tasks into an archive of their own, each whole, one after the other, so that one task at a time is in memory. Undefined: all of them are
 * gone, or must stay.
 */
export async function archiveTasks(
  db: Db,
  store: ArtifactStore,
  folder: string,
  ids: string[],
  signal: AbortSignal,
): Promise<ArchivedTasks | undefined> {
  const tasks: WholeTask[] = [];
  let next = 0;
  async function* lines(): AsyncGenerator<string> {
    for (let characters = 0; next < ids.length && characters < MOST_CHARACTERS; next++) {
      const reading = readTask(db, store, ids[next] ?? "", signal);
      let step = await reading.next();
      for (; !step.done; step = await reading.next()) {
        characters += step.value.length;
        yield step.value;
      }
      if (step.value) tasks.push(step.value);
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
