import type { Allowed } from "../callable-addresses.ts";
import type { Caller } from "../caller.ts";
import { urlFault } from "./callable-url.ts";

/** What the settings say of callbacks. */
export interface Callbacks {
  allowed: Allowed | undefined;
  /** CALLBACK_SECRET is set. */
  areSigned: boolean;
}

/** True for the target of callbacks, `callback <host>`; false for that of a webhook, which is its id. */
export const isCallbackTarget = (target: string): boolean => target.startsWith("callback ");

/**
 * Why the caller may not create a task with this `callback_url`; undefined where it may. A key with the role "submit" could otherwise have
 * the service call any address of its network.
 */
export function callbackFault(
  url: string | null,
  caller: Caller | undefined,
  { allowed, areSigned }: Callbacks,
): string | undefined {
  if (url === null) return undefined;
  if (!areSigned) return "cannot be called: this service has no CALLBACK_SECRET to sign with";
  if (caller?.key?.role === "submit" && allowed === undefined)
    return 'must not be set with a key of the role "submit", since OUTBOUND_ALLOW is not set';
  const fault = urlFault(url, allowed);
  return fault === undefined ? undefined : `must not be called: ${fault}`;
}
