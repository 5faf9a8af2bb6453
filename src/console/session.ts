/**
 * Who reads, and the client that calls the service. The key is kept in this tab's session storage, and other open tabs of the console are asked for it;
 * docs/console.md says why it is no cookie.
 */
import { signal } from "@preact/signals";
import { createClient, type Identity, Refused } from "../client/index.ts";

const STORED = "bloom.key";
/** How long a new tab waits for another one to tell the key. */
const NEIGHBOURS_MS = 150;

/** `asking`: it is not known yet whether a key is needed. */
export type Session =
  | { state: "asking" | "needs key" }
  | { state: "in"; who: Identity }
  | { state: "fault"; fault: unknown };

export const session = signal<Session>({ state: "asking" });

let key = sessionStorage.getItem(STORED) ?? undefined;
const neighbours = new BroadcastChannel("bloom.session");

export const client = createClient({
  url: location.origin,
  key: () => key,
  fetch: async (...call) => {
    const response = await fetch(...call);
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
  const before = key;
  key = given;
  try {
    const who = await client.getIdentity();
    sessionStorage.setItem(STORED, given);
    session.value = { state: "in", who };
  } catch (error) {
    key = before;
    throw error;
  }
}

/** Forgets the key, in all tabs. */
export function logOut(): void {
  forget();
  neighbours.postMessage({ type: "log out" });
}

function forget(): void {
  key = undefined;
  sessionStorage.removeItem(STORED);
  session.value = { state: "needs key" };
}

/** Finds out whether a key is needed, and whether there is one. */
export async function openSession(): Promise<void> {
  neighbours.onmessage = ({ data }) => {
    if (data.type === "ask" && key !== undefined) neighbours.postMessage({ type: "key", key });
    if (data.type === "log out") forget();
  };
  try {
    session.value = { state: "in", who: await client.getIdentity() };
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) session.value = { state: "fault", fault: error };
    else {
      const known = await keyOfNeighbour();
      if (known === undefined) forget();
      else await logIn(known).catch(forget);
    }
  }
}

/** The key that another tab of the console has. */
function keyOfNeighbour(): Promise<string | undefined> {
  const channel = new BroadcastChannel("bloom.session");
  return new Promise<string | undefined>((resolve) => {
    channel.onmessage = ({ data }) => data.type === "key" && resolve(data.key);
    channel.postMessage({ type: "ask" });
    setTimeout(resolve, NEIGHBOURS_MS);
  }).finally(() => channel.close());
}
