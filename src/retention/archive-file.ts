import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { syncFolder } from "../fsync-folder.ts";
import { archiveKey } from "../storage/artifact-key.ts";
import type { Bucket } from "../storage/bucket.ts";
import { createMeasure } from "../storage/check-bytes.ts";

/** Where archives go: into the bucket if there is one, else into the folder. On their way to the bucket they lie in the folder too. */
export interface ArchivePlace {
  folder: string;
  bucket: Bucket | undefined;
}

/** The folder for archives. */
export const archiveFolder = (dataDir: string) => join(dataDir, "archive");

/** The first line of an archive, by which a reader knows what it is. */
const FIRST_LINE = '{"archive":"BLOOM Runtime","version":1}\n';

const UNFINISHED = ".unfinished";
/** An archive takes seconds. One that is written so slowly all the same fails when its file is gone, and removes nothing from the database. */
const LEFT_OVER_AFTER_MS = 3_600_000;

/** Removes what processes that were killed have left in the folder. Other processes may be writing there, whose files are young. */
async function removeLeftOvers(folder: string): Promise<void> {
  const names = await readdir(folder);
  for (const path of names.filter((name) => name.endsWith(UNFINISHED)).map((name) => join(folder, name))) {
    // Undefined: the process that wrote it has finished it.
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > LEFT_OVER_AFTER_MS) await rm(path, { force: true });
  }
}

/**
 * Writes the lines into the new archive `name`, gzipped, and gives its place: a path, or an address in the bucket. When it returns, the archive is
 * there for good: it is on the disk, or the object store has taken it whole. What fails leaves no archive behind.
 */
export async function writeArchive(
  { folder, bucket }: ArchivePlace,
  name: string,
  lines: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<string> {
  const path = join(folder, name);
  const unfinished = path + UNFINISHED;
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncFolder(dirname(folder));
  await removeLeftOvers(folder);
  try {
    const file = await open(unfinished, "w", 0o600);
    const text = async function* () {
      yield FIRST_LINE;
      yield* lines;
    };
    await pipeline(Readable.from(text()), createGzip(), file.createWriteStream({ flush: true }), { signal });
    if (bucket) return await upload(bucket, name, unfinished, signal);
    await rename(unfinished, path);
    await syncFolder(folder);
    return path;
  } finally {
    await rm(unfinished, { force: true });
  }
}

async function upload(bucket: Bucket, name: string, path: string, signal: AbortSignal): Promise<string> {
  const measure = createMeasure();
  for await (const _piece of measure.through(createReadStream(path))) signal.throwIfAborted();
  const facts = measure.result();
  const key = archiveKey(name);
  const archive = { ...facts, body: createReadStream(path), contentType: "application/gzip" };
  await bucket.put(key, archive, { signal, isBackground: true });
  return `minio://${bucket.name}/${key}`;
}

/** A name that sorts by time, and that no other archive has. */
export const archiveName = (what: "tasks" | "audit", at: Date, id: string) =>
  `${what}-${at.toISOString().slice(0, 19).replaceAll(":", "-")}-${id}.jsonl.gz`;
