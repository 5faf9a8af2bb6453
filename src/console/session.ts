/**
 * Who reads, and the client that calls the service. The key is kept in this tab's session storage, and other open tabs of the console are
 * asked for it; docs/console.md says why it is no cookie.
 */
import { signal } from "@preact/signals";
import { createClient, type Identity, Refused } from "../client/index.ts";
import { firstAnswer, forgetFirstAnswers } from "./first-answers.ts";
import type { FaultProps } from "./parts/fault.tsx";
import { retryMsOf } from "./retry.ts";
import { forgetStored, knownWho, storedKey, storeKey, storeWho } from "./tab-storage.ts";

/** How long a new tab waits for another one to tell the key before it shows the form. A key that comes later logs in too. */
const NEIGHBOURS_MS = 150;

/** `asking`: it is not known yet whether a key is needed. `asking tabs`: one is needed, and another tab may have it. */
export type Session =
  | { state: "asking" | "asking tabs" | "needs key" }
  | { state: "in"; who: Identity }
  | { state: "fault"; trouble: FaultProps };

export const session = signal<Session>({ state: "asking" });

let key = storedKey();
const neighbours = new BroadcastChannel("bloom.session");
let formTimer: ReturnType<typeof setTimeout> | undefined;
let retryTimer: ReturnType<typeof setTimeout> | undefined;

export const client = createClient({
  url: location.origin,
  key: () => key,
  fetch: async (...call) => {
    const response = await (firstAnswer(...call) ?? fetch(...call));
    if (response.status === 401 && session.value.state === "in") logOut();
    return response;
  },
});

/** What the reader may do; the service decides, this only leaves out buttons that it would refuse. */
export function may(what: "read" | "submit" | "administer"): boolean {
  if (session.value.state !== "in") return false;
  const { role } = session.value.who;
  return role === "admin" || (what === "submit" && role === "submit") || (what === "read" && role !== "work");
}

/** Asks the service who the key is. Throws where the given key is refused. */
export async function logIn(given: string): Promise<void> {
  const who = await createClient({ url: location.origin, key: () => given }).getIdentity();
  key = given;
  storeKey(given);
  enter(who);
}

function enter(who: Identity): void {
  storeWho(who);
  session.value = { state: "in", who };
}

/** Forgets the key, in all tabs. */
export function logOut(): void {
  forget();
  neighbours.postMessage({ type: "log out" });
}

function forget(state: "asking tabs" | "needs key" = "needs key"): void {
  key = undefined;
  forgetStored();
  forgetFirstAnswers();
  session.value = { state };
}

/** Finds out whether a key is needed, and whether there is one. */
export async function openSession(): Promise<void> {
  neighbours.onmessage = ({ data }) => {
    if (data.type === "ask" && key !== undefined) neighbours.postMessage({ type: "key", key });
    if (data.type === "key") logInAsNeighbour(data.key);
    if (data.type === "log out") forget();
  };
  const known = knownWho();
  if (known) session.value = { state: "in", who: known };
  else await askWho(0);
}

/** Asks the service who the key is, and again after a failure that passes. */
async function askWho(failures: number): Promise<void> {
  clearTimeout(retryTimer);
  try {
    enter(await client.getIdentity());
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return askNeighbours();
    forgetFirstAnswers();
    const afterMs = retryMsOf(error, failures);
    const retry = () => void askWho(failures + 1);
    const retryAt = afterMs === undefined ? undefined : Date.now() + afterMs;
    session.value = { state: "fault", trouble: { of: error, retryAt, retry } };
    if (afterMs !== undefined) retryTimer = setTimeout(retry, afterMs);
  }
}

/** Asks the other tabs of the console for the key. A busy tab may answer late. */
function askNeighbours(): void {
  forget("asking tabs");
  neighbours.postMessage({ type: "ask" });
  formTimer = setTimeout(showForm, NEIGHBOURS_MS);
}

function logInAsNeighbour(given: string): void {
  const { state } = session.value;
  if (state !== "asking tabs" && state !== "needs key") return;
  clearTimeout(formTimer);
  void logIn(given).catch(showForm);
}

function showForm(): void {
  if (session.value.state === "asking tabs") session.value = { state: "needs key" };
}
