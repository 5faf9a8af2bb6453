import { and, asc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { messageOf } from "../errors.ts";
import type { Bucket } from "./bucket.ts";
import { deleteChunks, readChunks } from "./chunks.ts";
import { proven } from "./hash.ts";
import { artifactKey } from "./keys.ts";
import type { ArtifactStore } from "./place.ts";

const BATCH = 50;
/** A pass ends, so that a stop need not wait for the rest; the next one goes on. */
const PER_PASS = 1_000;
/** What is stored more slowly, in bytes a millisecond, is given up: a minute for all, and 1 GB within three hours. */
const LONGEST_BASE_MS = 60_000;
const LEAST_BYTES_PER_MS = 100;

/**
 * Moves outputs that stayed in PostgreSQL into the bucket, the oldest first; gives how many. Each is there before its row says so, and the
 * row changes once, whoever else is moving it. The first that fails ends the pass: the next would fail as well.
 */
export async function moveOnce(db: Db, { bucket, log }: ArtifactStore): Promise<number> {
  if (!bucket) return 0;
  let moved = 0;
  try {
    for (let last = ""; moved < PER_PASS; ) {
      const ids = await inDatabase(db, last);
      for (const id of ids) moved += Number(await move(db, bucket, id));
      last = ids.at(-1) ?? "";
      if (ids.length < BATCH) break;
    }
  } catch (error) {
    log.warn({ reason: messageOf(error) }, "outputs stay in PostgreSQL for now");
  }
  if (moved > 0) log.info({ moved }, "moved outputs into the bucket");
  return moved;
}

async function inDatabase(db: Db, after: string): Promise<string[]> {
  const rows = await db
    .select({ id: runtimeArtifacts.id })
    .from(runtimeArtifacts)
    .where(and(isHere, after === "" ? undefined : gt(runtimeArtifacts.id, after)))
    .orderBy(asc(runtimeArtifacts.id))
    .limit(BATCH);
  return rows.map(({ id }) => id);
}

const isHere = and(isNull(runtimeArtifacts.url), isNotNull(runtimeArtifacts.size_bytes));

async function move(db: Db, bucket: Bucket, id: string): Promise<boolean> {
  const [artifact] = await db
    .select()
    .from(runtimeArtifacts)
    .where(and(eq(runtimeArtifacts.id, id), isHere));
  if (!artifact || artifact.size_bytes === null || artifact.sha256 === null) return false;
  const { task_id, content, size_bytes, sha256, content_type } = artifact;
  const key = artifactKey(task_id, id);
  const facts = { sizeBytes: size_bytes, sha256 };
  const body = proven(content === null ? readChunks(db, id) : [Buffer.from(content)], facts);
  const withinMs = LONGEST_BASE_MS + size_bytes / LEAST_BYTES_PER_MS;
  await bucket.put(key, { body, ...facts, contentType: content_type }, { withinMs });
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
