import type { Bytes } from "./check-bytes.ts";

/** Checks whether the bytes that flow through are text in UTF-8. `isUtf8()` says so when they have ended. */
export function createUtf8Check() {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let isValid = true;
  /** The end of a part may cut a character. A call without a part says that the text has ended, so that no cut character may be left. */
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
