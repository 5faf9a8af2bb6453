/** The header of every answer of this service. Workers take an answer without it for a proxy's (docs/api.md). */
export const RUNTIME_HEADER = { "X-Bloom-Runtime": "1" };
