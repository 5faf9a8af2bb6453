import type { Logger } from "pino";
import type { Bucket } from "./bucket.ts";

/** Where outputs are kept: in the bucket if there is one and while it works, else in PostgreSQL. */
export interface OutputStorage {
  bucket: Bucket | undefined;
  log: Logger;
  /** How long a completion waits for its upload, in milliseconds; for tests. */
  uploadWithinMs?: number;
}
