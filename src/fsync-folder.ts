import { open } from "node:fs/promises";

/** Writes the folder's list of names to the disk. Without this, a power cut may undo that a file in it was made or renamed. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  await folder.sync().finally(() => folder.close());
}
