import { createHash } from "node:crypto";

/** The SHA-256 of the bytes, in hexadecimal. */
export function sha256Of(bytes: Buffer | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes, a piece at a time. */
export type Bytes = Iterable<Buffer> | AsyncIterable<Buffer>;

/** The bytes are not those that were stored; `message` says how they differ. */
export class WrongBytes extends Error {}

/** Counts and hashes what flows through; `result()` when it has ended. */
export function measuring() {
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
 * Passes the bytes on, and holds the last piece back until all of them are known to be those that were stored: whoever takes them then has
 * fewer than were announced, and not wrong ones. Without a hash only their number is looked at. WrongBytes.
 */
export async function* proven(
  bytes: Bytes,
  stored: { sizeBytes: number; sha256: string | null },
): AsyncGenerator<Buffer> {
  const measure = measuring();
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
