import { and, eq, isNotNull, isNull, lt, or, type SQL } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { stagedOutputs } from "../db/output-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { Refusal } from "../errors.ts";
import { deleteChunks, replaced, writeChunks } from "./chunks.ts";
import { measuring } from "./hash.ts";
import { lookingForUtf8 } from "./utf8.ts";

/** What an output on its way is known by. */
export interface Staged {
  id: string;
  task_id: string;
  lease_id: string | null;
}

/** An output whose bytes are there, and that no completion has taken over yet. */
export interface StagedOutput extends Staged {
  size_bytes: number;
  sha256: string;
  /** False: its bytes are no text in UTF-8. Null where nobody looked, since it was uploaded to an earlier version. */
  is_utf8: boolean | null;
}

/** The output is larger than MAX_OUTPUT_MB allows (413). */
export class OutputTooLarge extends Refusal {
  readonly status = 413;
}

/** OutputTooLarge: there are more than `maxBytes`. */
export function requireWithin(maxBytes: number, sizeBytes: number): void {
  if (sizeBytes > maxBytes)
    throw new OutputTooLarge(`The output is larger than ${maxBytes} bytes; MAX_OUTPUT_MB sets the limit.`);
}

/**
 * Takes the bytes into PostgreSQL as they come, wherever they will lie in the end: neither a store that is away nor one that is slow
 * keeps a worker from handing in what it has. An earlier output of the lease that no completion has begun to take over is dropped, so that
 * a lease keeps one. OutputTooLarge: more than `maxBytes` came. Conflict: a later upload took its place. What fails leaves nothing behind.
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
    const [measure, text] = [measuring(), lookingForUtf8()];
    await writeChunks(db, staged.id, limited(measure.through(text.through(body)), maxBytes, measure.bytesSoFar));
    const { sizeBytes: size_bytes, sha256 } = measure.result();
    const is_utf8 = text.isUtf8();
    const whole = db.update(stagedOutputs).set({ size_bytes, sha256, is_utf8 }).where(eq(stagedOutputs.id, staged.id));
    if ((await whole.returning({ id: stagedOutputs.id })).length === 0) throw replaced();
    return { ...staged, size_bytes, sha256, is_utf8 };
  } catch (error) {
    // Should this fail too, cleanOnce finds it.
    await unstage(db, staged.id).catch(() => {});
    throw error;
  }
}

/** One of which there may be an object is left to cleanOnce. */
async function dropEarlier(db: Db, { id, lease_id }: { id: string; lease_id: string }): Promise<void> {
  const earlier = and(eq(stagedOutputs.lease_id, lease_id), lt(stagedOutputs.id, id), isNull(stagedOutputs.bucket));
  await inTransaction(db, (tx) => drop(tx, earlier));
}

/** What may lie in the bucket. */
export interface AnnouncedObject extends Staged {
  bucket: string;
  size_bytes: number | null;
  sha256: string | null;
}

/** Writes down that there may be an object of it in the bucket, so that it is found again should no artifact come of it. */
export async function announceObject(db: Db, object: AnnouncedObject): Promise<void> {
  await db
    .insert(stagedOutputs)
    .values({ ...object, created_at: nowMs })
    .onConflictDoNothing();
}

/**
 * The same of an output that was uploaded. False, and it must not be put there, when it is being taken over or cleaned away, or there may be an
 * object of it in another bucket. From now on it counts as new, so that it is not cleaned away while it is put.
 */
export async function announceUploaded(db: Db, id: string, bucket: string): Promise<boolean> {
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

/** The output that was uploaded whole under this lease of the task, if it is still there. */
export async function findStaged(
  db: Db,
  id: string,
  taskId: string,
  leaseId: string,
): Promise<StagedOutput | undefined> {
  const [found] = await db
    .select()
    .from(stagedOutputs)
    .where(and(eq(stagedOutputs.id, id), eq(stagedOutputs.task_id, taskId), eq(stagedOutputs.lease_id, leaseId)));
  return found && found.size_bytes !== null && found.sha256 !== null
    ? { ...found, size_bytes: found.size_bytes, sha256: found.sha256 }
    : undefined;
}

/** Hands the output over to the artifact that `tx` makes of it. False when it was cleaned away before. */
export async function takeStaged(tx: Db, id: string, { keepChunks }: { keepChunks: boolean }): Promise<boolean> {
  const taken = await tx
    .delete(stagedOutputs)
    .where(and(eq(stagedOutputs.id, id), isNotNull(stagedOutputs.size_bytes)))
    .returning({ id: stagedOutputs.id });
  if (taken.length > 0 && !keepChunks) await deleteChunks(tx, id);
  return taken.length > 0;
}

/** Forgets the output and its bytes in PostgreSQL. */
export async function unstage(db: Db, id: string): Promise<void> {
  await inTransaction(db, (tx) => drop(tx, eq(stagedOutputs.id, id)));
}

/** The pieces after their row, for which writeChunks looks: none is added any more. */
async function drop(tx: Db, which: SQL | undefined): Promise<void> {
  const dropped = await tx.delete(stagedOutputs).where(which).returning({ id: stagedOutputs.id });
  for (const { id } of dropped) await deleteChunks(tx, id);
}

async function* limited(body: AsyncIterable<Buffer>, maxBytes: number, soFar: () => number): AsyncGenerator<Buffer> {
  for await (const part of body) {
    requireWithin(maxBytes, soFar());
    yield part;
  }
}
