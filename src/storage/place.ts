import { isUtf8 } from "node:buffer";
import { Readable } from "node:stream";
import type { Logger } from "pino";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import type { ArtifactRow } from "../db/rows.ts";
import { messageOf } from "../errors.ts";
import type { Bucket, Upload } from "./bucket.ts";
import { isStoreFault } from "./bucket-faults.ts";
import { readChunks } from "./chunks.ts";
import { proven, sha256Of } from "./hash.ts";
import { type ArtifactKey, artifactKey } from "./keys.ts";
import { announceObject, announceUploaded, type Staged, type StagedOutput } from "./staging.ts";

/** Where outputs are kept: in the bucket if there is one and while it works, else in PostgreSQL. */
export interface ArtifactStore {
  bucket: Bucket | undefined;
  log: Logger;
  /** How long a completion waits for its upload, in milliseconds; for tests. */
  uploadWithinMs?: number;
}

/** A slower upload is given up, and the output stays in PostgreSQL: a completion does not wait for longer. */
const UPLOAD_WITHIN_MS = 10_000;
/** An uploaded text of up to this size lies in its artifact's `content`, as if it had come in the completion's body. */
const INLINE_BYTES = 10 * 1024 * 1024;
export const CONTENT_TYPES = {
  json: "application/json",
  text: "text/plain; charset=utf-8",
  markdown: "text/markdown; charset=utf-8",
};

/** What becomes of an output: the artifact's id, and the columns that say where its bytes are. */
export interface PlacedOutput {
  id: string;
  columns: Pick<ArtifactRow, "url" | "content" | "size_bytes" | "sha256" | "content_type">;
  /** Its row among the staged ones must be taken over, and its pieces with it where it lives on them. */
  staged: { keepChunks: boolean } | undefined;
}

export interface Output {
  taskId: string;
  leaseId: string | null;
  format: keyof typeof CONTENT_TYPES;
  /** The text itself, bytes that were uploaded before, or nothing. */
  source: string | StagedOutput | null;
}

/** Puts the output where it is to lie. Never fails because of the object store: the output then stays in PostgreSQL, and is moved later. */
export async function placeOutput(db: Db, store: ArtifactStore, output: Output): Promise<PlacedOutput> {
  const { taskId, leaseId, format, source } = output;
  const isText = source === null || typeof source === "string" || source.is_utf8 !== false;
  // Marked, so that nobody reads another encoding, or no text at all, as UTF-8.
  const content_type = isText ? CONTENT_TYPES[format] : "application/octet-stream";
  if (source === null)
    return {
      id: newId(),
      columns: { url: null, content: null, size_bytes: null, sha256: null, content_type },
      staged: undefined,
    };
  const isUploaded = typeof source !== "string";
  const text = isUploaded ? await inlineText(db, source) : source;
  const { id, size_bytes, sha256 } = isUploaded
    ? source
    : { id: newId(), size_bytes: Buffer.byteLength(source), sha256: sha256Of(source) };

  const { bucket } = store;
  const facts = { sizeBytes: size_bytes, sha256 };
  const mayPut = bucket && (await announced(db, bucket, { id, task_id: taskId, lease_id: leaseId }, source, facts));
  const body = text === null ? proven(readChunks(db, id), facts) : [Buffer.from(text)];
  const upload = { body, ...facts, contentType: content_type };
  const url = mayPut ? await uploaded(db, store, bucket, artifactKey(taskId, id), upload) : null;
  const columns = { size_bytes, sha256, content_type, url, content: url === null ? text : null };
  const keepChunks = url === null && text === null;
  return { id, columns, staged: isUploaded || bucket ? { keepChunks } : undefined };
}

/** Whether it may be put into the bucket, which is written down before. */
async function announced(
  db: Db,
  { name }: Bucket,
  staged: Staged,
  source: string | StagedOutput,
  { sizeBytes: size_bytes, sha256 }: { sizeBytes: number; sha256: string },
): Promise<boolean> {
  if (typeof source !== "string") return announceUploaded(db, staged.id, name);
  await announceObject(db, { ...staged, bucket: name, size_bytes, sha256 });
  return true;
}

/** The object's `minio://` address; null when it must stay in PostgreSQL. */
async function uploaded(
  db: Db,
  { log, uploadWithinMs = UPLOAD_WITHIN_MS }: ArtifactStore,
  bucket: Bucket,
  key: ArtifactKey,
  upload: Upload,
): Promise<string | null> {
  try {
    await bucket.put(key, upload, { withinMs: uploadWithinMs });
    return `minio://${bucket.name}/${key}`;
  } catch (error) {
    const why = isStoreFault(error) ? "the object store failed" : "the output could not be read";
    const requestId = db.caller?.requestId;
    log.warn({ reason: messageOf(error), key, requestId }, `${why}; the output stays in PostgreSQL`);
    return null;
  }
}

/** Has cleanOnce find the object of an output that no artifact came of after all, whatever became of its staged row. */
export async function giveBack(
  db: Db,
  { bucket }: ArtifactStore,
  { taskId, leaseId }: Pick<Output, "taskId" | "leaseId">,
  { id, columns }: PlacedOutput,
): Promise<void> {
  if (!bucket || columns.url === null) return;
  // Without a size: no completion can take it over.
  const staged = { id, task_id: taskId, lease_id: leaseId, bucket: bucket.name };
  await announceObject(db, { ...staged, size_bytes: null, sha256: null });
}

/** What can lie in a text column: PostgreSQL stores no NUL. */
async function inlineText(db: Db, { id, size_bytes }: StagedOutput): Promise<string | null> {
  if (size_bytes > INLINE_BYTES) return null;
  const bytes = Buffer.concat(await Readable.from(readChunks(db, id)).toArray());
  return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString("utf8") : null;
}
