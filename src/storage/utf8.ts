import type { Bytes } from "./hash.ts";

/** Looks whether what flows through is text in UTF-8; `isUtf8()` when it has ended. */
export function lookingForUtf8() {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let isValid = true;
  /** Without a part, the text must have come to its end: a character may be cut by the end of a part. */
  const decode = (part?: Buffer) => {
    if (!isValid) return;
    try {
      decoder.decode(part, { stream: part !== undefined });
    } catch {
      isValid = false;
    }
  };
  return {
    async *through(body: Bytes): AsyncGenerator<Buffer> {
      for await (const part of body) {
        decode(part);
        yield part;
      }
    },
    isUtf8: () => {
      decode();
      return isValid;
    },
  };
}
