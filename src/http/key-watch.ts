import { joinSignals } from "../abort-signals.ts";
import type { Db } from "../db/client.ts";
import { findRevoked } from "../saved-config/named-keys.ts";

const LOOK_EVERY_MS = 1_000;

/** Tells calls that wait for long that their key was revoked, on any instance. */
export interface KeyWatch {
  /**
   * Watches a call. `signal` aborts when the client is `gone`, when the key is revoked (up to a second later), or after `withinMs` milliseconds.
   * `revoked` aborts for the revocation alone. `forget()` ends the watch, and must be called.
   */
  watch(keyId: string | undefined, gone: AbortSignal, withinMs?: number): Watched;
  /** True when the key is revoked by now; asks the database. */
  isRevoked(keyId: string | undefined): Promise<boolean>;
}

export interface Watched {
  signal: AbortSignal;
  revoked: AbortSignal;
  forget(): void;
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
    watch(keyId, gone, withinMs) {
      const revoked = new AbortController();
      const joined = joinSignals([gone, revoked.signal], withinMs);
      const signals = { signal: joined.signal, revoked: revoked.signal };
      if (keyId === undefined) return { ...signals, forget: joined.forget };
      const entry = { keyId, revoked };
      watched.add(entry);
      timer ??= setInterval(() => void look(), LOOK_EVERY_MS).unref();
      const forget = () => {
        joined.forget();
        watched.delete(entry);
        if (watched.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
      return { ...signals, forget };
    },
    isRevoked: async (keyId) => keyId !== undefined && (await findRevoked(db, [keyId])).length > 0,
  };
}
