/** Bytes that are too many for one value, kept in PostgreSQL in pieces, so that no more than one piece is in memory at a time. */
import { and, asc, eq, gt } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { outputChunks } from "../db/output-tables.ts";
import { withRelief } from "./relief.ts";

/** PostgreSQL sends bytes as text of twice their length, so a piece costs some 1 MB on its way. */
const PIECE_BYTES = 256 * 1024;

/** Stores the bytes as the output's pieces, as they come. */
export async function writeChunks(db: Db, outputId: string, body: AsyncIterable<Buffer>): Promise<void> {
  let seq = 0;
  for await (const data of withRelief(inPieces(body))) {
    await db.insert(outputChunks).values({ output_id: outputId, seq, data });
    seq += 1;
  }
}

/** The output's bytes in order. */
export function readChunks(db: Db, outputId: string): AsyncGenerator<Buffer> {
  return withRelief(piecesIn(db, outputId));
}

async function* piecesIn(db: Db, outputId: string): AsyncGenerator<Buffer> {
  for (let last = -1; ; ) {
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

/** Removes the output's pieces. The database refuses it while an artifact lives on them. */
export async function deleteChunks(tx: Db, outputId: string): Promise<void> {
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
