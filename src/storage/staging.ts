import { and, eq, isNotNull, isNull, lt, or, type SQL } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { stagedOutputs } from "../db/output-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict, Refusal } from "../errors.ts";
import { createMeasure } from "./check-bytes.ts";
import { deletePieces, uploadReplaced, writePieces } from "./output-pieces.ts";
import { createUtf8Check } from "./utf8-check.ts";

/** How a staged output is identified: an output on its way, before its completion. */
export interface Staged {
  id: string;
  task_id: string;
  lease_id: string | null;
}

/** A staged output whose bytes are all there. */
export interface StagedOutput extends Staged {
  size_bytes: number;
  sha256: string;
  /** False: its bytes are not text in UTF-8. Null: an earlier version took the upload, and did not check. */
  is_utf8: boolean | null;
}

/** 413: the output is larger than MAX_OUTPUT_MB allows. */
export class OutputTooLarge extends Refusal {
  readonly status = 413;
}

/** Throws OutputTooLarge when there are more than `maxBytes`. */
export function requireAtMost(maxBytes: number, sizeBytes: number): void {
  if (sizeBytes > maxBytes)
    throw new OutputTooLarge(`The output is larger than ${maxBytes} bytes; MAX_OUTPUT_MB sets the limit.`);
}

/**
 * Stores the bytes of an upload in PostgreSQL as they come, also when they will lie in the bucket in the end, so that a worker can submit its output
 * while the object store is away or slow. An earlier output of the lease is dropped, unless a completion has begun to take it over: a lease keeps
 * one output. OutputTooLarge: more than `maxBytes` came. Conflict: a later upload replaced this one. An upload that fails leaves nothing behind.
 */
export async function stageUpload(
  db: Db,
  { taskId, leaseId }: { taskId: string; leaseId: string },
  body: AsyncIterable<Buffer>,
  maxBytes: number,
): Promise<StagedOutput> {
  const staged = { id: newId(), task_id: taskId, lease_id: leaseId };
  await db.insert(stagedOutputs).values({ ...staged, created_at: nowMs });
  try {
    await dropEarlier(db, staged);
    const [measure, text] = [createMeasure(), createUtf8Check()];
    await writePieces(db, staged.id, limited(measure.through(text.through(body)), maxBytes, measure.bytesSoFar));
    const { sizeBytes: size_bytes, sha256 } = measure.result();
    const is_utf8 = text.isUtf8();
    const whole = db.update(stagedOutputs).set({ size_bytes, sha256, is_utf8 }).where(eq(stagedOutputs.id, staged.id));
    if ((await whole.returning({ id: stagedOutputs.id })).length === 0) throw uploadReplaced();
    return { ...staged, size_bytes, sha256, is_utf8 };
  } catch (error) {
    // If this fails too, cleanOnce finds the output later.
    await unstage(db, staged.id).catch(() => {});
    throw error;
  }
}

/** Drops earlier outputs of the lease. An output with an object in the bucket is left to cleanOnce. */
async function dropEarlier(db: Db, { id, lease_id }: { id: string; lease_id: string }): Promise<void> {
  const earlier = and(eq(stagedOutputs.lease_id, lease_id), lt(stagedOutputs.id, id), isNull(stagedOutputs.bucket));
  await inTransaction(db, (tx) => drop(tx, earlier));
}

/** An output that may have an object in the bucket. */
export interface AnnouncedObject extends Staged {
  bucket: string;
  size_bytes: number | null;
  sha256: string | null;
}

/** Records that there may be an object in the bucket, before it is put there, so that it is found again if no artifact comes of it. */
export async function announceObject(db: Db, object: AnnouncedObject): Promise<void> {
  await db
    .insert(stagedOutputs)
    .values({ ...object, created_at: nowMs })
    .onConflictDoNothing();
}

/**
 * Records that there may be an object of an output that was uploaded. The output counts as new from then on, so that it is not cleaned away while it
 * is put into the bucket. False: it must not be put there, since it is being taken over or cleaned away, or may have an object in another bucket.
 */
export async function announceUpload(db: Db, id: string, bucket: string): Promise<boolean> {
  const announced = await db
    .update(stagedOutputs)
    .set({ bucket, created_at: nowMs })
    .where(
      and(
        eq(stagedOutputs.id, id),
        isNotNull(stagedOutputs.size_bytes),
        or(isNull(stagedOutputs.bucket), eq(stagedOutputs.bucket, bucket)),
      ),
    )
    .returning({ id: stagedOutputs.id });
  return announced.length > 0;
}

/** The output that was uploaded under this lease of the task, if all of it came and it is still there. */
async function findStaged(db: Db, id: string, taskId: string, leaseId: string): Promise<StagedOutput | undefined> {
  const [found] = await db
    .select()
    .from(stagedOutputs)
    .where(and(eq(stagedOutputs.id, id), eq(stagedOutputs.task_id, taskId), eq(stagedOutputs.lease_id, leaseId)));
  return found && found.size_bytes !== null && found.sha256 !== null
    ? { ...found, size_bytes: found.size_bytes, sha256: found.sha256 }
    : undefined;
}

/** The output that was uploaded under this lease of the task. Conflict: there is none of this id. */
export async function requireStaged(
  db: Db,
  id: string,
  { taskId, leaseId }: { taskId: string; leaseId: string | null },
): Promise<StagedOutput> {
  const found = leaseId === null ? undefined : await findStaged(db, id, taskId, leaseId);
  if (!found) throw new Conflict(`No output ${id} was uploaded under this lease; upload it again.`);
  return found;
}

/** Gives the staged output to the artifact that `tx` inserts. False when the output was cleaned away before. */
export async function takeStaged(tx: Db, id: string, { keepPieces }: { keepPieces: boolean }): Promise<boolean> {
  const taken = await tx
    .delete(stagedOutputs)
    .where(and(eq(stagedOutputs.id, id), isNotNull(stagedOutputs.size_bytes)))
    .returning({ id: stagedOutputs.id });
  if (taken.length > 0 && !keepPieces) await deletePieces(tx, id);
  return taken.length > 0;
}

/** Deletes the staged output and its bytes in PostgreSQL. */
export async function unstage(db: Db, id: string): Promise<void> {
  await inTransaction(db, (tx) => drop(tx, eq(stagedOutputs.id, id)));
}

/** Deletes the rows first and then their pieces: writePieces adds none without its row. */
async function drop(tx: Db, which: SQL | undefined): Promise<void> {
  const dropped = await tx.delete(stagedOutputs).where(which).returning({ id: stagedOutputs.id });
  for (const { id } of dropped) await deletePieces(tx, id);
}

async function* limited(body: AsyncIterable<Buffer>, maxBytes: number, soFar: () => number): AsyncGenerator<Buffer> {
  for await (const part of body) {
    requireAtMost(maxBytes, soFar());
    yield part;
  }
}
