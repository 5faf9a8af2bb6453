import { isUtf8 } from "node:buffer";
import { Readable } from "node:stream";
import { bytesInJson } from "../bytes-in-json.ts";
import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import type { ArtifactRow, TaskRow } from "../db/row-types.ts";
import { messageOf } from "../errors.ts";
import { sha256Of } from "../sha256.ts";
import { type ArtifactKey, artifactKey } from "./artifact-key.ts";
import type { Bucket, Upload } from "./bucket.ts";
import { isStoreFault } from "./bucket-faults.ts";
import { checkBytes } from "./check-bytes.ts";
import { readPieces } from "./output-pieces.ts";
import type { OutputStorage } from "./output-storage.ts";
import { announceObject, announceUpload, type Staged, type StagedOutput } from "./staging.ts";

/** How long a completion waits for the upload of its output. After that, the output stays in PostgreSQL. */
const UPLOAD_WITHIN_MS = 10_000;
/** An uploaded text of at most this size is stored in its artifact's `content`, as if it had come in the completion's body. */
const INLINE_BYTES = 10 * 1024 * 1024;
/**
 * The most bytes of such a text in JSON, where a quote and an end of a line take 2, and a control character 6. The answer to a completion has the
 * text twice: it was 126 MB, and 20 answers of 38 MB at once kept all others waiting for 3.8 s.
 */
const INLINE_JSON_BYTES = 12 * 1024 * 1024;
type ContentTypes = Record<TaskRow["desired_format"], string>;
const TEXT_TYPES: ContentTypes = {
  json: "application/json",
  text: "text/plain; charset=utf-8",
  markdown: "text/markdown; charset=utf-8",
};
/** The content type of bytes that are not UTF-8, so that nobody reads them as text. */
const BYTES_TYPE = "application/octet-stream";
const BYTES_TYPES: ContentTypes = { json: BYTES_TYPE, text: BYTES_TYPE, markdown: BYTES_TYPE };

/** Where an output was placed: the id of its future artifact, and the columns that say where its bytes are. */
export interface PlacedOutput {
  id: string;
  columns: Pick<ArtifactRow, "url" | "content" | "size_bytes" | "sha256"> & { content_json_bytes: number | null };
  /** The artifact's content type, by the format that its task asks for. */
  contentTypes: ContentTypes;
  /** The staged row that the completion must take over. `keepPieces`: the artifact's bytes are the pieces in PostgreSQL, which must stay. */
  staged: (Staged & { keepPieces: boolean }) | undefined;
}

export interface Output {
  taskId: string;
  leaseId: string | null;
  format: TaskRow["desired_format"];
  /** The text itself, or bytes that were uploaded before. */
  source: string | StagedOutput;
}

/** Places an output, or none, in the artifact's own row in PostgreSQL. Nothing has to be written before the completion. */
export function placeInRow(output: string | null): PlacedOutput {
  const facts = output === null ? { size_bytes: null, sha256: null } : factsOf(output);
  return {
    id: newId(),
    columns: { url: null, ...contentColumns(output), ...facts },
    contentTypes: TEXT_TYPES,
    staged: undefined,
  };
}

const contentColumns = (content: string | null) => ({
  content,
  content_json_bytes: content === null ? null : bytesInJson(content),
});
const factsOf = (text: string) => ({ size_bytes: Buffer.byteLength(text), sha256: sha256Of(text) });

/**
 * Places the output in the bucket, if there is one, else in PostgreSQL. When the object store fails, the output stays in PostgreSQL and is
 * moved later.
 */
export async function placeOutput(
  db: Db,
  caller: Caller | undefined,
  store: OutputStorage,
  output: Output,
): Promise<PlacedOutput> {
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
  const body = text === null ? checkBytes(readPieces(db, id), facts) : [Buffer.from(text)];
  const upload = { body, ...facts, contentType: contentTypes[format] };
  const url = mayPut ? await putIntoBucket(caller, store, bucket, artifactKey(taskId, id), upload) : null;
  const columns = { size_bytes, sha256, url, ...contentColumns(url === null ? text : null) };
  return { id, columns, contentTypes, staged: { ...staged, keepPieces: url === null && text === null } };
}

/** Records that there may be an object of the output in the bucket. False: it must not be put there. */
async function announce(
  db: Db,
  { name }: Bucket,
  staged: Staged,
  source: string | StagedOutput,
  { sizeBytes: size_bytes, sha256 }: { sizeBytes: number; sha256: string },
): Promise<boolean> {
  if (typeof source !== "string") return announceUpload(db, staged.id, name);
  await announceObject(db, { ...staged, bucket: name, size_bytes, sha256 });
  return true;
}

/** Uploads the output, and gives the object's `minio://` address; null when the output must stay in PostgreSQL. */
async function putIntoBucket(
  caller: Caller | undefined,
  { log, uploadWithinMs = UPLOAD_WITHIN_MS }: OutputStorage,
  bucket: Bucket,
  key: ArtifactKey,
  upload: Upload,
): Promise<string | null> {
  try {
    await bucket.put(key, upload, { withinMs: uploadWithinMs });
    return `minio://${bucket.name}/${key}`;
  } catch (error) {
    const why = isStoreFault(error) ? "the object store failed" : "the output could not be read";
    const requestId = caller?.requestId;
    log.warn({ reason: messageOf(error), key, requestId }, `${why}; the output stays in PostgreSQL`);
    return null;
  }
}

/** Records an object in the bucket that belongs to no artifact, whatever became of its output's staged row, so that cleanOnce removes it. */
export async function abandonOutput(db: Db, { bucket }: OutputStorage, placed: PlacedOutput): Promise<void> {
  if (!bucket || !placed.staged || placed.columns.url === null) return;
  const { keepPieces: _, ...staged } = placed.staged;
  // Without a size, no completion can take the output over.
  await announceObject(db, { ...staged, bucket: bucket.name, size_bytes: null, sha256: null });
}

/**
 * The output as text for a text column; null when it is too large, in bytes or in JSON, not UTF-8, or has a NUL, which PostgreSQL does not store.
 */
async function inlineText(db: Db, { id, size_bytes }: StagedOutput): Promise<string | null> {
  if (size_bytes > INLINE_BYTES) return null;
  const bytes = Buffer.concat(await Readable.from(readPieces(db, id)).toArray());
  if (!isUtf8(bytes) || bytes.includes(0)) return null;
  const text = bytes.toString("utf8");
  return bytesInJson(text) <= INLINE_JSON_BYTES ? text : null;
}
