import { randomFillSync } from "node:crypto";
import { v7 } from "uuid";

/** Random bytes for 256 ids at once: asking the system for 16 bytes per id took a tenth of a request's time. */
const pool = Buffer.alloc(4_096);
let used = pool.length;
/** The time of the newest id, and its number within that millisecond. They keep the ids of one process in order. */
let msecs = 0;
let seq = 0;

/** A new id: UUID version 7, whose leading timestamp keeps rows that were made together close together in the indexes. */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + 16);
  used += 16;
  const now = Date.now();
  seq = now > msecs ? random.readUInt32BE() >>> 1 : seq + 1;
  msecs = Math.max(now, msecs);
  return v7({ random, msecs, seq });
}

/** True for a UUID of any version: rows of the earlier service have ids that this service did not make. */
export function isUuid(value: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(value);
}
