import type { Role } from "./db/values.ts";

/** Who makes a request: for log lines and audit entries. */
export interface Caller {
  requestId: string;
  /** The address that the request comes from, as far as the trusted proxies say it. */
  client: string;
  /** The named key that it has shown. */
  key: { id: string; name: string; role: Role } | undefined;
  /** The name of the key that it has shown, or of the setting that holds it; never the key itself. */
  keyName: string | undefined;
}
