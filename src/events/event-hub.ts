import { setTimeout as delay } from "node:timers/promises";
import type { Event } from "../contract/event-record.ts";
import type { Db } from "../db/client.ts";
import { UNKNOWN_TIMELINE } from "../db/timeline.ts";
import { Unavailable } from "../errors.ts";
import { watchWaiters } from "../metrics/common-meters.ts";
import { createOutageLog } from "../outage-log.ts";
import { comparePositions, type Position } from "./position.ts";
import { type EventBatch, enterEvents, readEvents } from "./read-events.ts";

/** How often one query looks for new events for all listeners of this instance, beside each look after a notification. */
const LOOK_EVERY_MS = 150;
const MOST_LISTENERS = 1_000;
/** How soon to look again whether a listener can take more, where all that are behind have a full buffer. */
const FULL_MS = 50;

/** A client's stream, as the hub knows it. */
export interface Listener {
  wants(event: Event): boolean;
  /** Takes the next events that it wants. */
  take(events: Event[]): void;
  /** Hears that events behind its place may be lost, since another server took over: it goes on from `now`. */
  reset(now: Position): void;
  /** True while it has not taken what it got. It gets the next events when it has. */
  isFull(): boolean;
}

/** A place in the events: `after` moves on with what was looked at, whether the listener wanted it or not. */
export interface Follower extends Listener {
  after: Position;
}

/** The listeners for events on this instance. */
export interface EventHub {
  /** Unavailable: too many listen already. */
  requireSpace(): void;
  /**
   * The place behind `after`, or now. `isKnown` is false where events behind `after` are not there any more; the place is now then.
   */
  enter(after: Position | undefined): Promise<{ after: Position; isKnown: boolean }>;
  /** Hands the follower every event behind its place, once each and in their order, until `signal` is aborted or the service stops. */
  follow(follower: Follower, signal: AbortSignal): Promise<void>;
  /** Says that there may be new events. */
  notify(): void;
  /** How many listen now. */
  size(): number;
  /** Ends all streams. */
  close(): void;
}

/**
 * One loop reads new events for all listeners that have got everything so far, and another one reads older events for those that are behind. So the
 * database has at most two of these queries at once, and none while nobody listens.
 */
export function openEventHub(db: Db): EventHub {
  const current = new Set<Follower>();
  const behind = new Set<Follower>();
  const leave = new Map<Follower, () => void>();
  /** Up to where the followers in `current` have got all events; undefined while nobody listens. */
  let position: Position | undefined;
  /** The last position that was read as now. */
  let entered: Position | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;
  let isCatchingUp = false;
  let isClosed = false;
  let isUnknownTold = false;
  const outage = createOutageLog(db.log, "a look for new events");
  const outageBehind = createOutageLog(db.log, "reading older events for listeners");
  watchWaiters(db.meters, "event", () => leave.size);

  function hand(follower: Follower, { events, until, isKnown }: EventBatch): void {
    if (!isKnown) {
      // The batch was read for a follower that is still on the earlier timeline. One on the new timeline keeps its place.
      if (follower.after.timeline === until.timeline) return;
      follower.reset(until);
      follower.after = until;
    }
    const wanted = events.filter(({ at, event }) => comparePositions(at, follower.after) > 0 && follower.wants(event));
    if (comparePositions(until, follower.after) > 0) follower.after = until;
    if (wanted.length > 0) follower.take(wanted.map(({ event }) => event));
  }

  async function look(): Promise<void> {
    if (isLooking || position === undefined) return;
    isLooking = true;
    try {
      for (let isWhole = false; !isWhole && position !== undefined; ) {
        const from: Position = position;
        const batch = await readEvents(db, from);
        // All may have left meanwhile, and others come, who began anew.
        if (position !== from) return;
        isWhole = batch.isWhole;
        position = batch.until;
        for (const follower of current) {
          if (!follower.isFull()) hand(follower, batch);
          else {
            current.delete(follower);
            behind.add(follower);
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

  /** Followers that have got to the position of the others go on with them. */
  function join(): void {
    for (const follower of behind) {
      if (position === undefined || comparePositions(follower.after, position) < 0) continue;
      behind.delete(follower);
      current.add(follower);
    }
  }

  async function catchUp(): Promise<void> {
    if (isCatchingUp) return;
    isCatchingUp = true;
    try {
      for (join(); behind.size > 0; join()) {
        const ready = [...behind].filter((follower) => !follower.isFull());
        const [first] = ready.toSorted((a, b) => comparePositions(a.after, b.after));
        if (!first) await delay(FULL_MS, undefined, { ref: false });
        else {
          const batch = await readEvents(db, first.after);
          for (const follower of ready) if (behind.has(follower)) hand(follower, batch);
        }
      }
      outageBehind.worked();
    } catch (error) {
      // The timer begins again.
      outageBehind.failed(error);
    } finally {
      isCatchingUp = false;
    }
  }

  function notify(): void {
    void look();
    void catchUp();
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
          "the database server does not say its timeline: after a failover that loses changes, followers of events will not be told to read anew",
        );
      }
      return after !== undefined && isKnown ? { after, isKnown } : { after: now, isKnown: after === undefined };
    },
    follow: (follower, signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted || isClosed) return resolve();
        const end = () => {
          current.delete(follower);
          behind.delete(follower);
          leave.delete(follower);
          signal.removeEventListener("abort", end);
          if (leave.size === 0) {
            clearInterval(timer);
            timer = undefined;
            position = undefined;
          }
          resolve();
        };
        signal.addEventListener("abort", end, { once: true });
        leave.set(follower, end);
        position ??= entered ?? follower.after;
        behind.add(follower);
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
