/** What a page shows: read once, and again when an event says that it has changed. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Event } from "../client/index.ts";
import { connection, listen, resync } from "./live-events.ts";
import type { FaultProps } from "./parts/fault.tsx";
import { retryMsOf } from "./retry.ts";
import { now } from "./ticking-now.ts";

export interface LiveData<Data> {
  data: Data | undefined;
  /** Why the last reading failed, and when it is tried again, for `<Fault {...trouble} />`; the data of the reading before is kept. */
  trouble: FaultProps | undefined;
  /** Reads anew at once. */
  reload(): void;
}

export interface LiveDataOptions {
  /** What the data depends on: with another value, it is forgotten and read anew. */
  of?: string;
  /** Whether this event may have changed the data. */
  wants?: (event: Event) => boolean;
  /** The shortest time between two readings, so that a busy service is not asked all the time. */
  pauseMs?: number;
  /** The data is read again after this time even without an event: some things change without one, such as progress. */
  everyMs?: number | undefined;
}

/** Reads data for a component, and keeps it up to date. */
export function useLiveData<Data>(
  load: (signal: AbortSignal) => Promise<Data>,
  { of = "", wants, pauseMs = 3_000, everyMs }: LiveDataOptions = {},
): LiveData<Data> {
  const [held, setHeld] = useState<{ of: string; data?: Data; trouble?: { of: unknown; retryAt: number | undefined } }>(
    { of },
  );
  const latest = useRef({ load, wants, reload: () => {} });
  latest.current.load = load;
  latest.current.wants = wants;
  const epoch = resync.value;

  // An effect that waits for the page's paint would ask one or two frames later.
  useLayoutEffect(() => {
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
        const afterMs = retryMsOf(fault, failures++);
        now.value = Date.now();
        const trouble = { of: fault, retryAt: afterMs === undefined ? undefined : now.value + afterMs };
        setHeld((before) => ({ ...(before.of === of ? before : { of }), trouble }));
        if (afterMs !== undefined) schedule(afterMs);
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
  const reload = () => latest.current.reload();
  return { data: current.data, trouble: current.trouble && { ...current.trouble, retry: reload }, reload };
}
