/** The header of every answer of this service. Workers take an answer without it for a proxy's (docs/api.md). */
export const OWN_ANSWER_HEADER = { "X-Bloom-Runtime": "1" };
