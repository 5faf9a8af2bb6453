import type { Role } from "./db/values.ts";

/** Who makes a request: for log lines and audit entries. */
export interface Caller {
  requestId: string;
  /** The named key that it has shown. */
  key: { name: string; role: Role } | undefined;
}
