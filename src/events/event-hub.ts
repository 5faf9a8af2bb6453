import type { Db } from "../db/client.ts";
import { UNKNOWN_TIMELINE } from "../db/server-timeline.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";
import { createOutageLog } from "../outage-log.ts";
import { openCatchUp } from "./catch-up.ts";
import { handOver, type Listener } from "./listener.ts";
import { comparePositions, type Position } from "./position.ts";
import { enterEvents, readEvents, readOldEvents } from "./read-events.ts";

/** How often one query looks for new events for all listeners of this instance, beside each look after a notification. */
const LOOK_EVERY_MS = 150;
/** No event is removed before it is a day old. After a longer pause than this, as of a machine that slept, some may have been removed unread. */
const LONG_PAUSE_MS = 3_600_000;
const MOST_LISTENERS = 1_000;

/** The listeners for events on this instance. */
export interface EventHub {
  /** Unavailable: too many listen already. */
  requireSpace(): void;
  /**
   * The place behind `after`, or now. `isKnown` is false where events behind `after` are not there any more; the place is now then.
   */
  enter(after: Position | undefined): Promise<{ after: Position; isKnown: boolean }>;
  /** Hands the listener every event behind its place, once each and in their order, until `signal` is aborted or the service stops. */
  follow(listener: Listener, signal: AbortSignal): Promise<void>;
  /** Says that there may be new events. */
  notify(): void;
  /** How many listen now. */
  size(): number;
  /** Ends all streams. */
  close(): void;
}

/**
 * One loop reads new events for all listeners that have got everything so far, and another loop reads older events for the listeners that are behind.
 * So the database has at most two of these queries at once, and none while nobody listens.
 */
export function openEventHub(db: Db): EventHub {
  const current = new Set<Listener>();
  const leave = new Map<Listener, () => void>();
  /** Up to where the listeners in `current` have got all events; undefined while nobody listens. */
  let position: Position | undefined;
  /** The last position that was read as now. */
  let entered: Position | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;
  /** When a look last found nothing more, by the system's clock: the process's own stands still while the machine sleeps. */
  let lookedAt = Date.now();
  let isClosed = false;
  let isUnknownTold = false;
  const outage = createOutageLog(db.log, "a look for new events");
  /**
   * The later of two positions: `now` (that of the newest entry) and that of the other listeners. `now` is earlier when the newest entries were
   * removed, and a listener that went on from there would be reset at each look.
   */
  const latest = (now: Position) =>
    position?.timeline === now.timeline && comparePositions(position, now) > 0 ? position : now;
  const behind = openCatchUp(db, {
    latest,
    rejoin(listener) {
      if (position === undefined || comparePositions(listener.after, position) < 0) return false;
      current.add(listener);
      return true;
    },
  });
  watchWaiters(db.meters, "event", () => leave.size);

  async function look(): Promise<void> {
    if (isLooking || position === undefined) return;
    isLooking = true;
    try {
      for (let isWhole = false; !isWhole && position !== undefined; ) {
        const from: Position = position;
        const read = Date.now() - lookedAt > LONG_PAUSE_MS ? readOldEvents : readEvents;
        const batch = await read(db, from);
        if (batch.isWhole) lookedAt = Date.now();
        // All listeners may have left meanwhile, and new listeners have begun at another position.
        if (position !== from) return;
        isWhole = batch.isWhole;
        position = batch.until;
        for (const listener of current) {
          if (!listener.isFull()) handOver(listener, batch);
          else {
            current.delete(listener);
            behind.add(listener);
          }
        }
      }
      outage.worked();
    } catch (error) {
      // The timer looks again, from the same position.
      outage.failed(error);
    } finally {
      isLooking = false;
    }
  }

  function notify(): void {
    void look();
    void behind.run();
  }

  return {
    requireSpace() {
      if (leave.size >= MOST_LISTENERS) throw new Unavailable("Too many listen to events on this instance; try again.");
    },
    async enter(after) {
      if (after === undefined && position !== undefined) return { after: position, isKnown: true };
      const { now, isKnown } = await enterEvents(db, after);
      entered = now;
      if (now.timeline === UNKNOWN_TIMELINE && !isUnknownTold) {
        isUnknownTold = true;
        db.log.warn(
          "the database server does not say its timeline: after a failover that loses changes, listeners will not be told to read anew",
        );
      }
      return after !== undefined && isKnown ? { after, isKnown } : { after: latest(now), isKnown: after === undefined };
    },
    follow: (listener, signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted || isClosed) return resolve();
        const end = () => {
          current.delete(listener);
          behind.remove(listener);
          leave.delete(listener);
          signal.removeEventListener("abort", end);
          if (leave.size === 0) {
            clearInterval(timer);
            timer = undefined;
            position = undefined;
          }
          resolve();
        };
        signal.addEventListener("abort", end, { once: true });
        leave.set(listener, end);
        if (position === undefined) lookedAt = Date.now();
        position ??= entered ?? listener.after;
        behind.add(listener);
        timer ??= setInterval(notify, LOOK_EVERY_MS).unref();
        notify();
      }),
    notify,
    size: () => leave.size,
    close() {
      isClosed = true;
      for (const end of leave.values()) end();
    },
  };
}
