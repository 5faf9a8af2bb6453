import { and, desc, eq } from "drizzle-orm";
import { type AuditFact, audit } from "../db/audit.ts";
import { auditLogs } from "../db/audit-table.ts";
import type { Db } from "../db/client.ts";
import { pickColumns } from "../db/column-lists.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/row-types.ts";
import { Conflict, messageOf, NotFound, Refusal, Unavailable } from "../errors.ts";
import { type ArtifactKey, keyIn } from "./artifact-key.ts";
import type { Bucket, Part } from "./bucket.ts";
import { isStoreFault, NoSuchObject } from "./bucket-faults.ts";
import { checkBytes, createMeasure, WrongBytes } from "./check-bytes.ts";
import { collectingBuffers } from "./force-buffer-collection.ts";
import { readPieces } from "./output-pieces.ts";
import type { OutputStorage } from "./output-storage.ts";

/** 502: the artifact's bytes are gone, or are not the bytes that were stored. */
export class Damaged extends Refusal {
  readonly status = 502;
}

type Open = (part?: Part, signal?: AbortSignal) => AsyncIterable<Buffer> | Iterable<Buffer>;

export interface Facts {
  sizeBytes: number;
  sha256: string;
}

/**
 * An artifact's bytes, in PostgreSQL or in the bucket. Reading them throws Damaged, which is audited, NotFound when it is removed meanwhile,
 * Unavailable when the object store does not answer, or the reason of an aborted `signal`.
 */
export interface Content {
  contentType: string;
  /** What the artifact's row says of the bytes, which are not read for that. Adopted rows do not say it. */
  stated: Facts | undefined;
  /** The bytes lie in the bucket, where others can change them. PostgreSQL refuses a change. */
  isInBucket: boolean;
  /**
   * Reads all bytes to check that they are what was stored, before the first of them is sent: a client cannot be told afterwards that the last
   * are wrong. If the row says nothing of them, the bytes are taken as they are.
   */
  verify(signal?: AbortSignal): Promise<Facts>;
  /** The bytes, or a part of them, in pieces. They are checked again before the last piece; for a part, only their number is. */
  open(facts: Facts, part?: Part, signal?: AbortSignal): AsyncGenerator<Buffer>;
}

/** What an artifact's row says of its bytes. */
export const locatedColumns = pickColumns(runtimeArtifacts, ["id", "url", "size_bytes", "sha256", "content_type"]);
export type LocatedArtifact = Pick<ArtifactRow, keyof typeof locatedColumns>;

/**
 * Finds the artifact's bytes, and reads none of them yet. Reading them throws NotFound when the task had no output. Conflict: the bytes are in
 * another bucket than ours.
 */
export function contentOf(db: Db, store: OutputStorage, artifact: LocatedArtifact): Content {
  const { size_bytes: sizeBytes, sha256 } = artifact;
  const bytes = opener(db, store, artifact);
  const stated = sizeBytes === null || sha256 === null ? undefined : { sizeBytes, sha256 };

  async function* open(facts: Facts, part?: Part, signal?: AbortSignal): AsyncGenerator<Buffer> {
    try {
      yield* checkBytes(bytes(part, signal), part ? { sizeBytes: part.length, sha256: null } : facts);
    } catch (error) {
      throw signal?.aborted ? error : await refusalOf(db, artifact, error);
    }
  }

  async function measured(signal?: AbortSignal): Promise<Facts> {
    const measure = createMeasure();
    try {
      for await (const _piece of measure.through(bytes(undefined, signal))) signal?.throwIfAborted();
    } catch (error) {
      throw signal?.aborted ? error : await refusalOf(db, artifact, error);
    }
    return measure.result();
  }

  return {
    contentType: artifact.content_type,
    stated,
    isInBucket: artifact.url !== null,
    open,
    async verify(signal) {
      if (!stated) return measured(signal);
      for await (const _piece of open(stated, undefined, signal)) signal?.throwIfAborted();
      return stated;
    },
  };
}

/** The answer to a caller when the bytes could not be read or are wrong. */
async function refusalOf(db: Db, artifact: LocatedArtifact, error: unknown): Promise<unknown> {
  if (error instanceof WrongBytes || error instanceof NoSuchObject) return damaged(db, artifact, error.message);
  if (!isStoreFault(error)) return error;
  return new Unavailable(
    `The object store does not hand the artifact out now: ${messageOf(error)}. Try again shortly.`,
  );
}

/** An address of the object store at which anybody may read the artifact for `expiresSeconds`. Conflict: its bytes are not in the store. */
export async function presignedUrl(
  store: OutputStorage,
  artifact: LocatedArtifact,
  expiresSeconds: number,
): Promise<string> {
  if (artifact.url === null)
    throw new Conflict("The artifact lies in PostgreSQL, which has no addresses. Read its content instead.");
  const { bucket, key } = inBucket(store, artifact.url);
  return bucket.presign(key, expiresSeconds, fileNameOf(artifact));
}

/** A name to save the artifact under, of letters, digits, hyphens and a dot. */
export function fileNameOf({ id, content_type }: Pick<ArtifactRow, "id" | "content_type">): string {
  const ending = content_type === "application/json" ? "json" : content_type.startsWith("text/markdown") ? "md" : "txt";
  return `${id}.${ending}`;
}

function opener(db: Db, store: OutputStorage, { id, url, size_bytes }: LocatedArtifact): Open {
  if (url !== null) {
    const { bucket, key } = inBucket(store, url);
    return (part, signal) => collectingBuffers(bucket.get(key, part, signal));
  }
  return (part, signal) => {
    const pieces = piecesOf(db, store, id, size_bytes, signal);
    return part ? cutOut(pieces, part) : pieces;
  };
}

/**
 * The output in PostgreSQL: the text in the artifact's row, or its pieces. If it is moved into the bucket meanwhile, the rest of it comes from
 * there.
 */
async function* piecesOf(
  db: Db,
  store: OutputStorage,
  id: string,
  sizeBytes: number | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const ofRow = { url: runtimeArtifacts.url, content: runtimeArtifacts.content };
  const look = async () => (await db.select(ofRow).from(runtimeArtifacts).where(eq(runtimeArtifacts.id, id)))[0];
  const row = await look();
  if (row && row.content !== null) return yield Buffer.from(row.content);
  if (row?.url === null && sizeBytes === null)
    throw new NotFound("The artifact has no content: its task ended without an output.");
  let at = 0;
  for await (const piece of readPieces(db, id)) {
    yield piece;
    at += piece.length;
  }
  if (at === sizeBytes) return;
  const url = (await look())?.url;
  if (!url) return;
  const { bucket, key } = inBucket(store, url);
  yield* bucket.get(key, sizeBytes === null ? undefined : { start: at, length: sizeBytes - at }, signal);
}

function inBucket({ bucket }: OutputStorage, url: string): { bucket: Bucket; key: ArtifactKey } {
  const key = bucket && keyIn(bucket.name, url);
  if (bucket && key) return { bucket, key };
  throw new Conflict(`The artifact lies at ${url}, which is not in the bucket that MINIO_* names.`);
}

/**
 * Audits that the artifact is damaged, unless its newest entry says the same, so that many reads make one entry. NotFound, and no entry: it was removed
 * (retention/) while it was read.
 */
async function damaged(db: Db, { id }: LocatedArtifact, reason: string): Promise<Damaged | NotFound> {
  const found = await db.select({ id: runtimeArtifacts.id }).from(runtimeArtifacts).where(eq(runtimeArtifacts.id, id));
  if (found.length === 0) return new NotFound("The artifact was removed while it was read.");
  const detail = `The artifact is damaged: ${reason}`;
  const fact: AuditFact = {
    action: "artifact_damaged",
    entity_type: "artifact",
    entity_id: id,
    actor: "runtime",
    detail,
  };
  const [newest] = await db
    .select({ detail: auditLogs.detail })
    .from(auditLogs)
    .where(and(eq(auditLogs.entity_id, id), eq(auditLogs.action, fact.action)))
    .orderBy(desc(auditLogs.timestamp), desc(auditLogs.id))
    .limit(1);
  if (newest?.detail !== detail) await audit(db, fact);
  return new Damaged(`${detail}.`);
}

/** Only the bytes of `part`. */
async function* cutOut(pieces: AsyncIterable<Buffer>, { start, length }: Part): AsyncGenerator<Buffer> {
  const end = start + length;
  let at = 0;
  for await (const piece of pieces) {
    const wanted = piece.subarray(Math.max(0, start - at), Math.max(0, end - at));
    if (wanted.length > 0) yield wanted;
    at += piece.length;
    if (at >= end) return;
  }
}
