import { isUtf8 } from "node:buffer";
import { Readable } from "node:stream";
import type { Logger } from "pino";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import type { ArtifactRow, TaskRow } from "../db/rows.ts";
import { messageOf } from "../errors.ts";
import { type ArtifactKey, artifactKey } from "./artifact-key.ts";
import type { Bucket, Upload } from "./bucket.ts";
import { isStoreFault } from "./bucket-faults.ts";
import { readChunks } from "./chunks.ts";
import { proven, sha256Of } from "./hash.ts";
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
type ContentTypes = Record<TaskRow["desired_format"], string>;
const TEXT_TYPES: ContentTypes = {
  json: "application/json",
  text: "text/plain; charset=utf-8",
  markdown: "text/markdown; charset=utf-8",
};
/** For bytes that are no UTF-8, so that nobody reads them as text. */
const BYTES_TYPE = "application/octet-stream";
const BYTES_TYPES: ContentTypes = { json: BYTES_TYPE, text: BYTES_TYPE, markdown: BYTES_TYPE };

/** Where an output lies now: the id of the artifact to be, and the columns that say where its bytes are. */
export interface PlacedOutput {
  id: string;
  columns: Pick<ArtifactRow, "url" | "content" | "size_bytes" | "sha256">;
  /** The artifact's content type, by the format that its task asks for. */
  contentTypes: ContentTypes;
  /** The staged row that the completion must take over, and whether the pieces in PostgreSQL stay, since the artifact's bytes are there. */
  staged: (Staged & { keepChunks: boolean }) | undefined;
}

export interface Output {
  taskId: string;
  leaseId: string | null;
  format: TaskRow["desired_format"];
  /** The text itself, or bytes that were uploaded before. */
  source: string | StagedOutput;
}

/** Places an output, or none, in the artifact's own row in PostgreSQL: nothing has to be written ahead of the completion. */
export function placeInRow(output: string | null): PlacedOutput {
  const facts = output === null ? { size_bytes: null, sha256: null } : factsOf(output);
  return {
    id: newId(),
    columns: { url: null, content: output, ...facts },
    contentTypes: TEXT_TYPES,
    staged: undefined,
  };
}

const factsOf = (text: string) => ({ size_bytes: Buffer.byteLength(text), sha256: sha256Of(text) });

/** Puts the output where it is to lie: into the bucket if there is one. Never fails because of the object store: the output then stays in PostgreSQL, and is moved later. */
export async function placeOutput(db: Db, store: ArtifactStore, output: Output): Promise<PlacedOutput> {
  const { taskId, leaseId, format, source } = output;
  const { bucket } = store;
  const isUploaded = typeof source !== "string";
  if (!isUploaded && !bucket) return placeInRow(source);
  const contentTypes = isUploaded && source.is_utf8 === false ? BYTES_TYPES : TEXT_TYPES;
  const text = isUploaded ? await inlineText(db, source) : source;
  const { id, size_bytes, sha256 } = isUploaded ? source : { id: newId(), ...factsOf(source) };

  const staged = { id, task_id: taskId, lease_id: leaseId };
  const facts = { sizeBytes: size_bytes, sha256 };
  const mayPut = bucket && (await announce(db, bucket, staged, source, facts));
  const body = text === null ? proven(readChunks(db, id), facts) : [Buffer.from(text)];
  const upload = { body, ...facts, contentType: contentTypes[format] };
  const url = mayPut ? await putIntoBucket(db, store, bucket, artifactKey(taskId, id), upload) : null;
  const columns = { size_bytes, sha256, url, content: url === null ? text : null };
  return { id, columns, contentTypes, staged: { ...staged, keepChunks: url === null && text === null } };
}

/** Writes down that there may be an object of the output in the bucket. False: it must not be put there. */
async function announce(
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
async function putIntoBucket(
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
export async function abandonOutput(db: Db, { bucket }: ArtifactStore, placed: PlacedOutput): Promise<void> {
  if (!bucket || !placed.staged || placed.columns.url === null) return;
  const { keepChunks: _, ...staged } = placed.staged;
  // Without a size no completion can take it over.
  await announceObject(db, { ...staged, bucket: bucket.name, size_bytes: null, sha256: null });
}

/** What can lie in a text column: PostgreSQL stores no NUL. */
async function inlineText(db: Db, { id, size_bytes }: StagedOutput): Promise<string | null> {
  if (size_bytes > INLINE_BYTES) return null;
  const bytes = Buffer.concat(await Readable.from(readChunks(db, id)).toArray());
  return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString("utf8") : null;
}
