import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";
import { releaseUndelivered } from "../queue/release-undelivered.ts";

/**
 * Has `send` send the answer that tells a client of these leases. When `send` throws, or the client goes away before the whole answer was sent
 * (`gone`, a signal from before the grant), no worker knows of the leases, and their tasks go back to the queue. Throws what `send` throws.
 */
export function deliverGrant(
  db: Db,
  caller: Caller | undefined,
  gone: AbortSignal,
  leaseIds: string[],
  send: () => void,
): void {
  const takeBack = () => void releaseUndelivered(db, caller, leaseIds, "the client that asked for it has gone away");
  if (gone.aborted) {
    takeBack();
    return;
  }
  gone.addEventListener("abort", takeBack, { once: true });
  try {
    send();
  } catch (error) {
    gone.removeEventListener("abort", takeBack);
    void releaseUndelivered(db, caller, leaseIds, "its answer could not be made");
    throw error;
  }
}
