/** How many chunks time makes up for in a millisecond. A model streams about 100 tokens a second. */
const PER_MS = 1;

/**
 * Gives a function to be called with the size of each chunk in bytes. It gives true when more than `atOnce` have come, and begins at 0 again then.
 * Larger chunks count for less, chunks of `fullBytes` for nothing, and 1,000 are forgotten in each second. Node makes an event of each
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
