/** Bytes that are too many for one value, kept in PostgreSQL in pieces, so that no more than one piece is in memory at a time. */
import { and, asc, eq, gt, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { outputChunks, stagedOutputs } from "../db/output-tables.ts";
import { Conflict } from "../errors.ts";
import { withRelief } from "./relief.ts";

/** PostgreSQL sends bytes as text of twice their length, so a piece costs some 1 MB on its way. */
const PIECE_BYTES = 256 * 1024;

/** The answer to an upload whose place another has taken. */
export function replaced(): Conflict {
  return new Conflict("A later upload under this lease took the place of this one.");
}

/** Stores the bytes as the staged output's pieces, as they come. Conflict: it is no longer staged. */
export async function writeChunks(db: Db, outputId: string, body: AsyncIterable<Buffer>): Promise<void> {
  let seq = 0;
  for await (const data of withRelief(inPieces(body))) {
    // Locks the staged row: whoever deletes it waits, and then finds this piece.
    const { rowCount } = await db.execute(
      sql`insert into ${outputChunks} (output_id, seq, data)
        select id, ${seq}::integer, ${sql.param(data)}::bytea from ${stagedOutputs} where id = ${outputId} for key share`,
    );
    if (rowCount === 0) throw replaced();
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
