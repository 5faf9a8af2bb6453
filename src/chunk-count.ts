/** How many chunks time makes up for in a millisecond. A model streams about 100 tokens a second. */
const PER_MS = 1;

/**
 * Gives a function that counts a body's chunks by their sizes in bytes, and is true whenever more than `atOnce` have come; it then counts anew. A
 * chunk counts the less the more bytes it has, and not at all with `fullBytes`; in each second 1,000 are forgotten. Node makes an event of each
 * chunk, 10,900 of 64 KB in chunks of one byte, so that few bytes may take much time.
 */
export function countChunks(atOnce: number, fullBytes: number): (bytes: number) => boolean {
  let count = 0;
  let at = performance.now();
  return (bytes) => {
    if (bytes >= fullBytes) return false;
    const now = performance.now();
    count = Math.max(0, count - (now - at) * PER_MS) + 1 - bytes / fullBytes;
    at = now;
    const isOver = count > atOnce;
    if (isOver) count = 0;
    return isOver;
  };
}
