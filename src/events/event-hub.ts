import type { Db } from "../db/client.ts";
import { UNKNOWN_TIMELINE } from "../db/server-timeline.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";
import type { Listener } from "./listener.ts";
import { openListenersBehind } from "./listeners-behind.ts";
import type { Position } from "./position.ts";
import { enterEvents } from "./read-events.ts";
import { openUpToDateListeners } from "./up-to-date-listeners.ts";

/** How often one query looks for new events for all listeners of this instance, beside each look after a notification. */
const LOOK_EVERY_MS = 150;
const MOST_LISTENERS = 1_000;

/** The listeners for events on this instance. */
export interface EventHub {
  /** Unavailable: too many listen already. */
  requirePlace(): void;
  /**
   * The position to go on from: `after`, or now where there is none. `isKnown` is false where events behind `after` are gone; the position is now
   * then too.
   */
  enter(after: Position | undefined): Promise<{ after: Position; isKnown: boolean }>;
  /** Hands the listener every event behind its position, once each and in their order, until `signal` is aborted or the service stops. */
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
  /** What ends each listener's stream. */
  const endOf = new Map<Listener, () => void>();
  /** The last position that was read as now. */
  let lastNow: Position | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let isUnknownTold = false;
  const upToDate = openUpToDateListeners(db, (listener) => behind.add(listener));
  const behind = openListenersBehind(db, upToDate);
  watchWaiters(db.meters, "event", () => endOf.size);

  function notify(): void {
    void upToDate.look();
    void behind.run();
  }

  return {
    requirePlace() {
      if (endOf.size >= MOST_LISTENERS) throw new Unavailable("Too many listen to events on this instance; try again.");
    },
    async enter(after) {
      const position = upToDate.position();
      if (after === undefined && position !== undefined) return { after: position, isKnown: true };
      const { now, isKnown } = await enterEvents(db, after);
      lastNow = now;
      if (now.timeline === UNKNOWN_TIMELINE && !isUnknownTold) {
        isUnknownTold = true;
        db.log.warn(
          "the database server does not say its timeline: after a failover that loses changes, listeners will not be told to read anew",
        );
      }
      return after !== undefined && isKnown
        ? { after, isKnown }
        : { after: upToDate.latest(now), isKnown: after === undefined };
    },
    follow: (listener, signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted || isClosed) return resolve();
        const end = () => {
          upToDate.remove(listener);
          behind.remove(listener);
          endOf.delete(listener);
          signal.removeEventListener("abort", end);
          if (endOf.size === 0) {
            clearInterval(timer);
            timer = undefined;
            upToDate.end();
          }
          resolve();
        };
        signal.addEventListener("abort", end, { once: true });
        endOf.set(listener, end);
        if (upToDate.position() === undefined) upToDate.begin(lastNow ?? listener.after);
        behind.add(listener);
        timer ??= setInterval(notify, LOOK_EVERY_MS).unref();
        notify();
      }),
    notify,
    size: () => endOf.size,
    close() {
      isClosed = true;
      for (const end of endOf.values()) end();
    },
  };
}
