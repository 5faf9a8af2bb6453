import { and, asc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { isDatabaseUnavailable } from "../db/faults.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/row-types.ts";
import { inTransaction } from "../db/transaction.ts";
import { messageOf } from "../errors.ts";
import { artifactKey } from "./artifact-key.ts";
import type { Bucket } from "./bucket.ts";
import { SourceFault, StorePaused } from "./bucket-faults.ts";
import { checkBytes } from "./check-bytes.ts";
import { deletePieces, readPieces } from "./output-pieces.ts";
import type { OutputStorage } from "./output-storage.ts";

const BATCH = 50;
/** The most outputs that a pass moves, so that a stop does not wait for long. The next pass goes on. */
const PER_PASS = 1_000;

/** After this number of failures in a row the store is taken to be at fault, and the pass ends. */
const FAILURES = 3;
/** The artifact at which such a pass ended. The next pass begins after it, so that outputs that cannot be moved do not stand in the way of others. */
const endedAt = new WeakMap<Bucket, string>();

/**
 * Makes one pass: moves outputs that stayed in PostgreSQL into the bucket, the oldest first, and gives how many. An output is in the bucket before
 * its row says so, and the row changes once, even if several instances move it. What fails is left for a later pass. `signal` ends the pass, and
 * an upload that just runs.
 */
export async function moveOnce(db: Db, { bucket, log }: OutputStorage, signal?: AbortSignal): Promise<number> {
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
      if (error instanceof StorePaused) break;
      failures += 1;
      if (failures < FAILURES) continue;
      endedAt.set(bucket, id);
      break;
    }
  }
  if (moved > 0) log.info({ moved }, "moved outputs into the bucket");
  return moved;
}

/** The ids of artifacts whose bytes are in PostgreSQL, in their order, which is the order of age. */
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

/** Moves the artifact's bytes. False when another instance has moved them. */
async function move(db: Db, bucket: Bucket, id: string, signal: AbortSignal | undefined): Promise<boolean> {
  const artifact = await findHere(db, id);
  if (!artifact || artifact.size_bytes === null || artifact.sha256 === null) return false;
  const { task_id, content, size_bytes, sha256, content_type } = artifact;
  const key = artifactKey(task_id, id);
  const facts = { sizeBytes: size_bytes, sha256 };
  const body = checkBytes(content === null ? readPieces(db, id) : [Buffer.from(content)], facts);
  try {
    await bucket.put(key, { body, ...facts, contentType: content_type }, { signal, isBackground: true });
  } catch (error) {
    // The pieces are deleted while they are read when another instance is faster.
    if (error instanceof SourceFault && !(await findHere(db, id))) return false;
    throw error;
  }
  return inTransaction(db, async (tx) => {
    const changed = await tx
      .update(runtimeArtifacts)
      .set({ url: `minio://${bucket.name}/${key}`, content: sql`null` })
      .where(and(eq(runtimeArtifacts.id, id), isHere))
      .returning({ id: runtimeArtifacts.id });
    if (changed.length > 0 && content === null) await deletePieces(tx, id);
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
