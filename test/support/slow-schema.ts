/** A JSON Schema whose check takes about a second: it compares each of its values with each other. No two of them are the same. */
export const slowSchema = (n: number): object => ({
  title: String(n),
  enum: Array.from({ length: 6_000 }, (_, value) => [value]),
});
