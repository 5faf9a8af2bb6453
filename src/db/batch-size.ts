/** The most requests of a batch, and about how many characters they may have together. A longer request is sent by itself. */
const LARGEST_BATCH = 64;
export const LONGEST_BATCH = 256_000;

/** How many of the first of `items` make a batch; one at least. */
export function sizeOfBatch<Item>(items: readonly Item[], lengthOf: (item: Item) => number): number {
  let length = 0;
  let size = 0;
  for (const item of items) {
    length += lengthOf(item);
    if (size > 0 && (length > LONGEST_BATCH || size === LARGEST_BATCH)) break;
    size += 1;
  }
  return size;
}
