/** One stream of events for all pages. A hidden tab closes it. */
import { signal } from "@preact/signals";
import { type Event, Refused } from "../client/index.ts";
import { client, session } from "./session.ts";
import { now } from "./ticking-now.ts";

/** `retryAt`: when it is opened again, in epoch milliseconds. `since`: what is shown is at least as new as that. */
export type Connection =
  | { state: "opening" | "open" | "hidden" }
  | { state: "lost"; since: number; retryAt: number; reason: unknown }
  | { state: "refused"; reason: unknown };

export const connection = signal<Connection>({ state: "opening" });
/** Grows when pages must read anew what they show: events may have been missed. */
export const resync = signal(0);

/** A tab that was hidden for longer, or that had no event before, reads its page anew instead of the events that it has missed. */
const MISSED_MS = 60_000;

const listeners = new Set<(event: Event) => void>();
let last: string | undefined;
let stop: AbortController | undefined;
let hiddenAt: number | undefined;

/** Calls `listener` with every event until the returned function is called. */
export function listen(listener: (event: Event) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Opens the stream while somebody is logged in and looks. */
export function keepLive(): void {
  const look = () => {
    if (document.hidden) {
      hiddenAt = Date.now();
      stop?.abort();
      stop = undefined;
      if (connection.value.state !== "refused") connection.value = { state: "hidden" };
    } else if (session.value.state === "in" && !stop) {
      const hasMissed = hiddenAt !== undefined && (last === undefined || Date.now() - hiddenAt > MISSED_MS);
      if (hasMissed) {
        last = undefined;
        resync.value++;
      }
      stop = new AbortController();
      void follow(stop.signal);
    }
  };
  document.addEventListener("visibilitychange", look);
  session.subscribe(({ state }) => {
    if (state === "in") return look();
    stop?.abort();
    stop = undefined;
    last = undefined;
  });
}

async function follow(signal: AbortSignal): Promise<void> {
  connection.value = { state: "opening" };
  try {
    const changes = client.followEvents(last === undefined ? {} : { after: last }, {
      signal,
      onState: (state) => {
        if (signal.aborted) return;
        const { value } = connection;
        if (state.isOpen) {
          if (value.state === "lost") resync.value++;
          connection.value = { state: "open" };
        } else {
          const since = value.state === "lost" ? value.since : Date.now();
          connection.value = { state: "lost", since, retryAt: Date.now() + state.pauseMs, reason: state.reason };
        }
      },
    });
    for await (const change of changes) {
      last = change.id;
      now.value = Date.now();
      if (change.type === "reset") resync.value++;
      else for (const listener of listeners) listener(change.event);
    }
  } catch (reason) {
    if (!(reason instanceof Refused)) throw reason;
    connection.value = { state: "refused", reason };
  }
}
