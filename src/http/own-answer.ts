/** Headers that say that an answer is the runtime's own, and no proxy's: workers trust no other (docs/api.md). */
export const OWN = { "X-Bloom-Runtime": "1" };
