/** Outputs that are too large for one value are kept in PostgreSQL in pieces, so that at most one piece is in memory at a time. */
import { and, asc, eq, gt, max, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { outputChunks, stagedOutputs } from "../db/output-tables.ts";
import { Conflict } from "../errors.ts";
import { collectingBuffers } from "./force-buffer-collection.ts";

/** The size of a piece. PostgreSQL sends bytes as text of twice their length, so that a piece takes about 1 MB on its way. */
const PIECE_BYTES = 256 * 1024;

/** The answer to an upload that a later one has replaced. */
export function uploadReplaced(): Conflict {
  return new Conflict("A later upload under this lease took the place of this one.");
}

/** Stores the bytes, as they come, as pieces of the staged output. Conflict: the output is not staged any more. */
export async function writePieces(db: Db, outputId: string, body: AsyncIterable<Buffer>): Promise<void> {
  let seq = 0;
  for await (const data of collectingBuffers(inPieces(body))) {
    // This locks the staged row, so that a deletion of it waits, and then finds this piece too.
    const { rowCount } = await db.execute(
      sql`insert into ${outputChunks} (output_id, seq, data)
        select id, ${seq}::integer, ${sql.param(data)}::bytea from ${stagedOutputs} where id = ${outputId} for key share`,
    );
    if (rowCount === 0) throw uploadReplaced();
    seq += 1;
  }
}

/** The output's bytes in order. */
export function readPieces(db: Db, outputId: string): AsyncGenerator<Buffer> {
  return collectingBuffers(piecesIn(db, outputId, -1));
}

/** The last of the output's bytes, in order: `bytes` of them, and up to the size of a piece more. */
export async function* readLastPieces(db: Db, outputId: string, bytes: number): AsyncGenerator<Buffer> {
  const [last] = await db
    .select({ seq: max(outputChunks.seq) })
    .from(outputChunks)
    .where(eq(outputChunks.output_id, outputId));
  // Each piece but the last has `PIECE_BYTES` or more.
  yield* collectingBuffers(piecesIn(db, outputId, (last?.seq ?? 0) - Math.ceil(bytes / PIECE_BYTES) - 1));
}

async function* piecesIn(db: Db, outputId: string, after: number): AsyncGenerator<Buffer> {
  for (let last = after; ; ) {
    const [piece] = await db
      .select({ seq: outputChunks.seq, data: outputChunks.data })
      .from(outputChunks)
      .where(and(eq(outputChunks.output_id, outputId), gt(outputChunks.seq, last)))
      .orderBy(asc(outputChunks.seq))
      .limit(1);
    if (!piece) return;
    yield piece.data;
    last = piece.seq;
  }
}

/** Deletes the output's pieces. The database refuses that when an artifact needs them. */
export async function deletePieces(tx: Db, outputId: string): Promise<void> {
  await tx.delete(outputChunks).where(eq(outputChunks.output_id, outputId));
}

async function* inPieces(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    parts.push(part);
    bytes += part.length;
    if (bytes < PIECE_BYTES) continue;
    yield Buffer.concat(parts);
    [parts, bytes] = [[], 0];
  }
  if (bytes > 0) yield Buffer.concat(parts);
}
