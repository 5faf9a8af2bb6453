import { createHash } from "node:crypto";

/** Bytes that come in pieces. */
export type Bytes = Iterable<Buffer> | AsyncIterable<Buffer>;

/** The bytes are not the bytes that were stored; `message` says how they differ. */
export class WrongBytes extends Error {}

/** Counts and hashes the bytes that flow through. `result()` may be called once, when they have ended. */
export function createMeasure() {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  return {
    async *through(body: Bytes): AsyncGenerator<Buffer> {
      for await (const part of body) {
        sizeBytes += part.length;
        hash.update(part);
        yield part;
      }
    },
    bytesSoFar: () => sizeBytes,
    result: () => ({ sizeBytes, sha256: hash.digest("hex") }),
  };
}

/**
 * Passes the bytes on, and holds the last piece back until all of them are known to be those that were stored. So a reader of wrong bytes gets fewer
 * than were announced. Without a hash, only their number is checked. Throws WrongBytes.
 */
export async function* checkBytes(
  bytes: Bytes,
  stored: { sizeBytes: number; sha256: string | null },
): AsyncGenerator<Buffer> {
  const measure = createMeasure();
  let held: Buffer | undefined;
  for await (const piece of measure.through(bytes)) {
    if (measure.bytesSoFar() > stored.sizeBytes) break;
    if (held) yield held;
    held = piece;
  }
  const { sizeBytes, sha256 } = measure.result();
  if (sizeBytes !== stored.sizeBytes || (stored.sha256 !== null && sha256 !== stored.sha256))
    throw new WrongBytes(
      stored.sha256 === null
        ? `${stored.sizeBytes} bytes were expected, ${sizeBytes} are there`
        : `${stored.sizeBytes} bytes with SHA-256 ${stored.sha256} were stored, ${sizeBytes} bytes with ${sha256} are there`,
    );
  if (held) yield held;
}
