/** What this tab keeps in its session storage: the key, and who that is. */
import type { Identity } from "../client/index.ts";

const KEY = "bloom.key";
const WHO = "bloom.who";
/** How long a reloaded tab trusts the stored identity. A key that was revoked meanwhile is refused by the first call. */
const KNOWN_MS = 600_000;

export const storedKey = (): string | undefined => sessionStorage.getItem(KEY) ?? undefined;
export const storeKey = (key: string): void => sessionStorage.setItem(KEY, key);

export const storeWho = (who: Identity): void => sessionStorage.setItem(WHO, JSON.stringify({ who, at: Date.now() }));

/** The stored identity, if it is younger than `KNOWN_MS`. */
export function knownWho(): Identity | undefined {
  const { who, at }: { who?: Identity; at?: number } = JSON.parse(sessionStorage.getItem(WHO) ?? "{}");
  const age = Date.now() - (at ?? 0);
  return age >= 0 && age < KNOWN_MS ? who : undefined;
}

export function forgetStored(): void {
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem(WHO);
}
