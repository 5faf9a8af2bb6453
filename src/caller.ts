import type { Role } from "./db/roles.ts";

/** Who makes a request: for log lines and audit entries. */
export interface Caller {
  requestId: string;
  /** The address from which the request comes, as the trusted proxies say. */
  client: string;
  /** The named key that the caller has shown; undefined for the main key, or for none. */
  key: { id: string; name: string; role: Role } | undefined;
  /** The name of the key that the caller has shown, or of the setting that holds it; never the key itself. */
  keyName: string | undefined;
  /** Where the request belongs in a distributed trace, as the W3C Trace Context writes it; undefined where it belongs to none. */
  traceparent: string | undefined;
}

/** As whom the caller takes turns with others: all who show the same key are one, and so are all who show none. */
export const askerOf = (caller: Caller | undefined): string => caller?.keyName ?? "";

/** The caller of what the service does by itself. */
export const NOBODY = undefined;
