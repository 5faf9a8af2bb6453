/** What a page shows: read once, and again when an event says that it has changed. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Event, Refused } from "../client/index.ts";
import { connection, listen, resync } from "./live.ts";

export interface Snapshot<Data> {
  data: Data | undefined;
  /** Why the last reading failed; the data of the one before is kept. */
  fault: unknown;
  /** Reads anew at once. */
  reload(): void;
}

export interface SnapshotOptions {
  /** What the data depends on: with another value, it is forgotten and read anew. */
  of?: string;
  /** Whether this event may have changed the data. */
  wants?: (event: Event) => boolean;
  /** The shortest time between two readings, so that a busy service is not asked all the time. */
  pauseMs?: number;
  /** Also without an event, it is read again after this time: for what changes without one, such as progress. */
  everyMs?: number | undefined;
}

const FIRST_RETRY_MS = 2_000;

/** Reads data for a component, and keeps it up to date. */
export function useSnapshot<Data>(
  load: (signal: AbortSignal) => Promise<Data>,
  { of = "", wants, pauseMs = 3_000, everyMs }: SnapshotOptions = {},
): Snapshot<Data> {
  const [held, setHeld] = useState<{ of: string; data?: Data; fault?: unknown }>({ of });
  const latest = useRef({ load, wants, reload: () => {} });
  latest.current.load = load;
  latest.current.wants = wants;
  const epoch = resync.value;

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let readAt = 0;
    let isReading = false;
    let isStale = false;
    let failures = 0;
    const read = async () => {
      timer = undefined;
      if (isReading) {
        isStale = true;
        return;
      }
      isReading = true;
      isStale = false;
      readAt = Date.now();
      try {
        const data = await latest.current.load(stop.signal);
        failures = 0;
        if (!stop.signal.aborted) setHeld({ of, data });
      } catch (fault) {
        if (stop.signal.aborted) return;
        setHeld((before) => ({ ...(before.of === of ? before : { of }), fault }));
        const isFinal = fault instanceof Refused && fault.status < 500 && fault.status !== 429;
        if (!isFinal) schedule(retryMsOf(fault, failures++));
      } finally {
        isReading = false;
      }
      if (isStale) schedule(pauseMs);
    };
    const schedule = (afterMs: number) => {
      timer ??= setTimeout(read, afterMs);
    };
    latest.current.reload = () => {
      clearTimeout(timer);
      void read();
    };
    const deaf = listen((event) => {
      if (latest.current.wants?.(event)) schedule(Math.max(0, readAt + pauseMs - Date.now()));
    });
    // What changes between the reading and the begin of the stream would be missed: the stream is opened first.
    const unsubscribe = connection.subscribe(({ state }) => {
      if (state !== "opening" && readAt === 0) void read();
    });
    const repeated =
      everyMs === undefined
        ? undefined
        : setInterval(() => {
            if (!document.hidden) schedule(0);
          }, everyMs);
    return () => {
      stop.abort();
      clearTimeout(timer);
      clearInterval(repeated);
      deaf();
      unsubscribe();
    };
  }, [of, epoch, pauseMs, everyMs]);

  const current = held.of === of ? held : { of };
  return { data: current.data, fault: current.fault, reload: () => latest.current.reload() };
}

const retryMsOf = (fault: unknown, failures: number) =>
  fault instanceof Refused && fault.retryAfterSeconds
    ? fault.retryAfterSeconds * 1_000
    : Math.min(60_000, FIRST_RETRY_MS * 2 ** failures);
