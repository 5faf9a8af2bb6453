import type { Event } from "../contract/event-record.ts";
import { comparePositions, type Position } from "./position.ts";
import type { EventBatch } from "./read-events.ts";

/** A client's stream, as the hub knows it. */
export interface Listener {
  /** Its position in the events, which moves on with what was looked at, whether the listener wanted it or not. */
  after: Position;
  wants(event: Event): boolean;
  /** Takes the next events that it wants. */
  take(events: Event[]): void;
  /** Called when events after its position may be missing, because another server took over or they were removed. The listener goes on from `now`. */
  reset(now: Position): void;
  /** True while it has not taken what it got. It gets the next events when it has. */
  isFull(): boolean;
}

/** Hands the listener what it wants of a batch that was read from its position, or from before it. Its position moves on. */
export function handOver(listener: Listener, { from, events, until, isKnown }: EventBatch): void {
  if (!isKnown) {
    // A listener on the new timeline whose position is later than `from` has missed nothing.
    if (listener.after.timeline === until.timeline && comparePositions(listener.after, from) > 0) return;
    listener.reset(until);
    listener.after = until;
  }
  const wanted = events.filter(({ at, event }) => comparePositions(at, listener.after) > 0 && listener.wants(event));
  if (comparePositions(until, listener.after) > 0) listener.after = until;
  if (wanted.length > 0) listener.take(wanted.map(({ event }) => event));
}
