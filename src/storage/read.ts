import { Readable } from "node:stream";
import { eq } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/rows.ts";
import { Conflict, messageOf, NotFound, Refusal, Unavailable } from "../errors.ts";
import type { Bucket, Part } from "./bucket.ts";
import { NoSuchObject } from "./bucket-faults.ts";
import { readChunks } from "./chunks.ts";
import { measuring } from "./hash.ts";
import { type ArtifactKey, keyIn } from "./keys.ts";
import type { ArtifactStore } from "./place.ts";
import { withRelief } from "./relief.ts";

/** The bytes are gone, or are not those that were stored (502). */
export class Damaged extends Refusal {
  readonly status = 502;
}

type Open = (part?: Part) => AsyncIterable<Buffer> | Promise<AsyncIterable<Buffer>>;

/** An artifact's bytes, which were read through once and are what was stored. */
export interface Content {
  sizeBytes: number;
  sha256: string;
  contentType: string;
  /** The bytes, or a part of them, a piece at a time. */
  open: Open;
}

/**
 * Finds the artifact's bytes, in PostgreSQL or in the bucket, and reads them through to see that they are what was stored: whoever is sent
 * the first of them cannot be told any more that the last are wrong. Adopted rows without a hash are taken as they are.
 * NotFound: the task had no output. Damaged, which is audited. Unavailable: the object store does not answer.
 */
export async function verifiedContent(db: Db, store: ArtifactStore, artifact: ArtifactRow): Promise<Content> {
  const open = opener(db, store, artifact);
  const measure = measuring();
  try {
    for await (const _piece of measure.through(await open()));
  } catch (error) {
    if (artifact.url === null) throw error;
    if (error instanceof NoSuchObject) throw await damaged(db, artifact, error.message);
    throw new Unavailable(
      `The object store does not hand the artifact out now: ${messageOf(error)}. Try again shortly.`,
    );
  }
  const { sizeBytes, sha256 } = measure.result();
  if (artifact.sha256 !== null && sha256 !== artifact.sha256) {
    const stored = `${artifact.size_bytes} bytes with SHA-256 ${artifact.sha256}`;
    throw await damaged(db, artifact, `${stored} were stored, ${sizeBytes} bytes with ${sha256} are there`);
  }
  return { sizeBytes, sha256, contentType: artifact.content_type, open };
}

/** An address of the object store at which anybody may read the artifact for so long. Conflict: its bytes are not there. */
export async function presignedUrl(
  store: ArtifactStore,
  artifact: ArtifactRow,
  expiresSeconds: number,
): Promise<string> {
  if (artifact.url === null)
    throw new Conflict("The artifact lies in PostgreSQL, which has no addresses. Read its content instead.");
  const { bucket, key } = inBucket(store, artifact.url);
  return bucket.presign(key, expiresSeconds, fileNameOf(artifact));
}

/** A name to save the artifact under, of letters, digits, hyphens and a dot. */
export function fileNameOf({ id, content_type }: Pick<ArtifactRow, "id" | "content_type">): string {
  return `${id}.${content_type === "application/json" ? "json" : "txt"}`;
}

function opener(db: Db, store: ArtifactStore, { id, url, content, size_bytes }: ArtifactRow): Open {
  if (url !== null) {
    const { bucket, key } = inBucket(store, url);
    return (part) => withRelief(bucket.get(key, part));
  }
  if (content !== null) {
    const bytes = Buffer.from(content);
    return ({ start, length } = { start: 0, length: bytes.length }) =>
      Readable.from([bytes.subarray(start, start + length)]);
  }
  if (size_bytes === null) throw new NotFound("The artifact has no content: its task ended without an output.");
  const pieces = () => piecesOf(db, store, id, size_bytes);
  return (part) => (part ? within(pieces(), part) : pieces());
}

/** The output's pieces; where they are moved into the bucket meanwhile, the rest of them comes from there. */
async function* piecesOf(db: Db, store: ArtifactStore, id: string, sizeBytes: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const piece of readChunks(db, id)) {
    yield piece;
    at += piece.length;
  }
  if (at === sizeBytes) return;
  const [now] = await db
    .select({ url: runtimeArtifacts.url })
    .from(runtimeArtifacts)
    .where(eq(runtimeArtifacts.id, id));
  if (!now?.url) return;
  const { bucket, key } = inBucket(store, now.url);
  yield* bucket.get(key, { start: at, length: sizeBytes - at });
}

function inBucket({ bucket }: ArtifactStore, url: string): { bucket: Bucket; key: ArtifactKey } {
  const key = bucket && keyIn(bucket.name, url);
  if (bucket && key) return { bucket, key };
  throw new Conflict(`The artifact lies at ${url}, which is not in the bucket that MINIO_* names.`);
}

async function damaged(db: Db, { id }: ArtifactRow, reason: string): Promise<Damaged> {
  const detail = `The artifact is damaged: ${reason}`;
  await audit(db, { action: "artifact_damaged", entity_type: "artifact", entity_id: id, actor: "runtime", detail });
  return new Damaged(`${detail}.`);
}

async function* within(pieces: AsyncIterable<Buffer>, { start, length }: Part): AsyncGenerator<Buffer> {
  const end = start + length;
  let at = 0;
  for await (const piece of pieces) {
    const wanted = piece.subarray(Math.max(0, start - at), Math.max(0, end - at));
    if (wanted.length > 0) yield wanted;
    at += piece.length;
    if (at >= end) return;
  }
}
