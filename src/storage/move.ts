import { and, asc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { isDatabaseUnavailable } from "../db/faults.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/rows.ts";
import { inTransaction } from "../db/transaction.ts";
import { messageOf } from "../errors.ts";
import { artifactKey } from "./artifact-key.ts";
import type { Bucket } from "./bucket.ts";
import { SourceFault, StoreRests } from "./bucket-faults.ts";
import { deleteChunks, readChunks } from "./chunks.ts";
import { proven } from "./hash.ts";
import type { ArtifactStore } from "./place.ts";

const BATCH = 50;
/** A pass ends, so that a stop need not wait for the rest; the next one goes on. */
const PER_PASS = 1_000;
/** What is stored more slowly, in bytes a millisecond, is given up: a minute for all, and 1 GB within three hours. */
const LONGEST_BASE_MS = 60_000;
const LEAST_BYTES_PER_MS = 100;

/** So many that fail one after the other are taken to fail for the store's sake, and end the pass. */
const FAILURES = 3;
/** Where such a pass ended: the next one goes on behind it, so that outputs that cannot be moved keep no others from it. */
const endedAt = new WeakMap<Bucket, string>();

/**
 * Moves outputs that stayed in PostgreSQL into the bucket, the oldest first; gives how many. Each is there before its row says so, and the
 * row changes once, whoever else is moving it. One that fails is left for a later pass. `signal` ends the pass, an upload in flight too.
 */
export async function moveOnce(db: Db, { bucket, log }: ArtifactStore, signal?: AbortSignal): Promise<number> {
  if (!bucket) return 0;
  let moved = 0;
  let failures = 0;
  const start = endedAt.get(bucket) ?? "";
  endedAt.delete(bucket);
  for await (const id of inDatabase(db, start)) {
    if (signal?.aborted || moved >= PER_PASS) break;
    try {
      if (await move(db, bucket, id, signal)) moved += 1;
      failures = 0;
    } catch (error) {
      if (signal?.aborted) break;
      if (isDatabaseUnavailable(error)) throw error;
      log.warn({ reason: messageOf(error), artifact: id }, "an output stays in PostgreSQL for now");
      if (error instanceof StoreRests) break;
      failures += 1;
      if (failures < FAILURES) continue;
      endedAt.set(bucket, id);
      break;
    }
  }
  if (moved > 0) log.info({ moved }, "moved outputs into the bucket");
  return moved;
}

/** The artifacts whose bytes lie in PostgreSQL, in the order of their ids, which is that of their age. */
async function* inDatabase(db: Db, after: string): AsyncGenerator<string> {
  for (let last = after; ; ) {
    const rows = await db
      .select({ id: runtimeArtifacts.id })
      .from(runtimeArtifacts)
      .where(and(isHere, last === "" ? undefined : gt(runtimeArtifacts.id, last)))
      .orderBy(asc(runtimeArtifacts.id))
      .limit(BATCH);
    for (const { id } of rows) yield id;
    last = rows.at(-1)?.id ?? "";
    if (rows.length < BATCH) return;
  }
}

const isHere = and(isNull(runtimeArtifacts.url), isNotNull(runtimeArtifacts.size_bytes));

/** False when another instance has moved it. */
async function move(db: Db, bucket: Bucket, id: string, signal: AbortSignal | undefined): Promise<boolean> {
  const artifact = await findHere(db, id);
  if (!artifact || artifact.size_bytes === null || artifact.sha256 === null) return false;
  const { task_id, content, size_bytes, sha256, content_type } = artifact;
  const key = artifactKey(task_id, id);
  const facts = { sizeBytes: size_bytes, sha256 };
  const body = proven(content === null ? readChunks(db, id) : [Buffer.from(content)], facts);
  const withinMs = LONGEST_BASE_MS + size_bytes / LEAST_BYTES_PER_MS;
  try {
    await bucket.put(key, { body, ...facts, contentType: content_type }, { withinMs, signal, isBackground: true });
  } catch (error) {
    // Its pieces go away while they are read when another instance is faster.
    if (error instanceof SourceFault && !(await findHere(db, id))) return false;
    throw error;
  }
  return inTransaction(db, async (tx) => {
    const changed = await tx
      .update(runtimeArtifacts)
      .set({ url: `minio://${bucket.name}/${key}`, content: sql`null` })
      .where(and(eq(runtimeArtifacts.id, id), isHere))
      .returning({ id: runtimeArtifacts.id });
    if (changed.length > 0 && content === null) await deleteChunks(tx, id);
    return changed.length > 0;
  });
}

async function findHere(db: Db, id: string): Promise<ArtifactRow | undefined> {
  const [artifact] = await db
    .select()
    .from(runtimeArtifacts)
    .where(and(eq(runtimeArtifacts.id, id), isHere));
  return artifact;
}
