import { countChunks } from "./chunk-count.ts";

/** Answers such as `103 Early Hints` before the one that counts. Servers send one, if any. */
const MOST_INFORMATIONAL = 10;
/**
 * More than 4,000 chunks of one byte at once are too many, or more of up to 255 bytes, which count for less. Servers send chunks of 1 KB and more.
 */
const FULL_CHUNK_BYTES = 256;
const CHUNKS_AT_ONCE = 4_000;

/** Counts the parts of another server's answer. Each function gives an error once there are too many; the call must end with it. */
export interface AnswerParts {
  /** An informational answer (1xx) has come. */
  addInformational(): Error | undefined;
  /** A chunk of this size has come. */
  addChunk(bytes: number): Error | undefined;
}

/**
 * Bounds the parts in which the answer to one call may come. Each is a call of a function, whatever it brings: eight servers that sent `103 Early
 * Hints` without end held the service up for 6 s, and eight that sent chunks of one byte took all its time.
 */
export function countAnswerParts(): AnswerParts {
  let informational = 0;
  const isTooMany = countChunks(CHUNKS_AT_ONCE, FULL_CHUNK_BYTES);
  return {
    addInformational() {
      informational += 1;
      return informational > MOST_INFORMATIONAL
        ? new Error(`it sent more than ${MOST_INFORMATIONAL} informational answers (1xx) before its answer`)
        : undefined;
    },
    addChunk: (bytes) => (isTooMany(bytes) ? new Error("its answer comes in too many small chunks") : undefined),
  };
}
