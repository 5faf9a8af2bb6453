import type { Db } from "../db/client.ts";
import { createOutageLog } from "../outage-log.ts";
import { handOver, type Listener } from "./listener.ts";
import { comparePositions, type Position } from "./position.ts";
import { readEvents, readOldEvents } from "./read-events.ts";

/** No event is removed before it is a day old. After a longer pause than this, as of a machine that slept, some may have been removed unread. */
const LONG_PAUSE_MS = 3_600_000;

/** The listeners that are not behind: they have got all events so far, and are at one position. */
export interface UpToDateListeners {
  /** Up to where they have got all events; undefined while nobody listens. */
  position(): Position | undefined;
  /** Somebody listens now, from this position on, where nobody did. */
  begin(at: Position): void;
  /** Nobody listens any more. */
  end(): void;
  /** Takes a listener that has come as far as the others; gives false when the listener has not. */
  rejoin(listener: Listener): boolean;
  remove(listener: Listener): void;
  /**
   * The later of two positions: `now` (that of the newest entry) and that of the listeners. `now` is earlier when the newest entries were removed,
   * and a listener that went on from there would be reset at each look.
   */
  latest(now: Position): Position;
  /** Reads new events for them until there are no more, one query at a time. Never rejects: the next look begins at the same position. */
  look(): Promise<void>;
}

/** `fallBehind` takes a listener that is full: the others do not wait for it. */
export function openUpToDateListeners(db: Db, fallBehind: (listener: Listener) => void): UpToDateListeners {
  const listeners = new Set<Listener>();
  let position: Position | undefined;
  let isLooking = false;
  /** When a look last found nothing more, by the system's clock: the process's own stands still while the machine sleeps. */
  let lookedAt = Date.now();
  const outage = createOutageLog(db.log, "a look for new events");

  async function readOn(): Promise<void> {
    for (let isWhole = false; !isWhole && position !== undefined; ) {
      const from: Position = position;
      const read = Date.now() - lookedAt > LONG_PAUSE_MS ? readOldEvents : readEvents;
      const batch = await read(db, from);
      if (batch.isWhole) lookedAt = Date.now();
      // All listeners may have left meanwhile, and new listeners have begun at another position.
      if (position !== from) return;
      isWhole = batch.isWhole;
      position = batch.until;
      for (const listener of listeners) {
        if (!listener.isFull()) handOver(listener, batch);
        else {
          listeners.delete(listener);
          fallBehind(listener);
        }
      }
    }
    outage.worked();
  }

  return {
    position: () => position,
    begin(at) {
      lookedAt = Date.now();
      position = at;
    },
    end() {
      position = undefined;
    },
    rejoin(listener) {
      if (position === undefined || comparePositions(listener.after, position) < 0) return false;
      listeners.add(listener);
      return true;
    },
    remove: (listener) => void listeners.delete(listener),
    latest: (now) => (position?.timeline === now.timeline && comparePositions(position, now) > 0 ? position : now),
    async look() {
      if (isLooking || position === undefined) return;
      isLooking = true;
      try {
        await readOn();
      } catch (error) {
        // The timer looks again, from the same position.
        outage.failed(error);
      } finally {
        isLooking = false;
      }
    },
  };
}
