import { and, eq, isNotNull } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { newId } from "../db/ids.ts";
import { stagedOutputs } from "../db/output-tables.ts";
import { Refusal } from "../errors.ts";
import { deleteChunks, writeChunks } from "./chunks.ts";
import { measuring } from "./hash.ts";

/** An output whose bytes are there, and that no completion has taken over yet. */
export interface StagedOutput {
  id: string;
  task_id: string;
  lease_id: string | null;
  size_bytes: number;
  sha256: string;
}

/** The output is larger than MAX_OUTPUT_MB allows (413). */
export class OutputTooLarge extends Refusal {
  readonly status = 413;
}

/**
 * Takes the bytes into PostgreSQL as they come, wherever they will lie in the end: neither a store that is away nor one that is slow
 * keeps a worker from handing in what it has. OutputTooLarge: more than `maxBytes` came. What fails leaves nothing behind.
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
    const measure = measuring();
    await writeChunks(db, staged.id, limited(measure.through(body), maxBytes, measure.bytesSoFar));
    const { sizeBytes: size_bytes, sha256 } = measure.result();
    await db.update(stagedOutputs).set({ size_bytes, sha256 }).where(eq(stagedOutputs.id, staged.id));
    return { ...staged, size_bytes, sha256 };
  } catch (error) {
    // Should this fail too, cleanOnce finds it.
    await unstage(db, staged.id).catch(() => {});
    throw error;
  }
}

/** Writes down that an object is about to be put into the bucket, so that it is found again should no artifact come of it. */
export async function announceObject(db: Db, output: StagedOutput): Promise<void> {
  await db.insert(stagedOutputs).values({ ...output, created_at: nowMs });
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
  await deleteChunks(db, id);
  await db.delete(stagedOutputs).where(eq(stagedOutputs.id, id));
}

async function* limited(body: AsyncIterable<Buffer>, maxBytes: number, soFar: () => number): AsyncGenerator<Buffer> {
  for await (const part of body) {
    if (soFar() > maxBytes)
      throw new OutputTooLarge(`The output is larger than ${maxBytes} bytes; MAX_OUTPUT_MB sets the limit.`);
    yield part;
  }
}
