import type { Db } from "../db/client.ts";
import { findRevoked } from "../settings/named-keys.ts";

const LOOK_EVERY_MS = 1_000;

/** Tells calls that wait for long that their key was revoked, on any instance. */
export interface KeyWatch {
  /** `signal` is aborted within about a second of the revocation. `forget()` ends the watch, and must be called. */
  watch(keyId: string | undefined): { signal: AbortSignal; forget(): void };
  /** True when the key is revoked by now; asks the database. */
  isRevoked(keyId: string | undefined): Promise<boolean>;
}

/** One query a second for all keys that are watched, and none while there is nothing to watch. */
export function createKeyWatch(db: Db): KeyWatch {
  const watched = new Set<{ keyId: string; revoked: AbortController }>();
  let timer: NodeJS.Timeout | undefined;
  async function look(): Promise<void> {
    const ids = [...new Set([...watched].map(({ keyId }) => keyId))];
    // While the database is away, no task is granted either, so the next look is early enough.
    const revoked = await findRevoked(db, ids).catch((): string[] => []);
    for (const each of watched) if (revoked.includes(each.keyId)) each.revoked.abort();
  }
  return {
    watch(keyId) {
      const revoked = new AbortController();
      if (keyId === undefined) return { signal: revoked.signal, forget: () => {} };
      const entry = { keyId, revoked };
      watched.add(entry);
      timer ??= setInterval(() => void look(), LOOK_EVERY_MS).unref();
      const forget = () => {
        watched.delete(entry);
        if (watched.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
      return { signal: revoked.signal, forget };
    },
    isRevoked: async (keyId) => keyId !== undefined && (await findRevoked(db, [keyId])).length > 0,
  };
}
