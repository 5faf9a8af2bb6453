/** A time in epoch milliseconds, as sentences and messages write it: ISO 8601 in UTC. */
export const isoTime = (ms: number): string => new Date(ms).toISOString();
