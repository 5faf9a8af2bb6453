import { createHash } from "node:crypto";

/** The SHA-256 of the bytes, in hexadecimal. */
export function sha256Of(bytes: Buffer | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Counts and hashes what flows through; `result()` when it has ended. */
export function measuring() {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  return {
    async *through(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
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
