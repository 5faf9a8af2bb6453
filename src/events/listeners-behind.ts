import { setTimeout as delay } from "node:timers/promises";
import type { Db } from "../db/client.ts";
import { createOutageLog } from "../outage-log.ts";
import { handOver, type Listener } from "./listener.ts";
import { comparePositions } from "./position.ts";
import { readOldEvents } from "./read-events.ts";
import type { UpToDateListeners } from "./up-to-date-listeners.ts";

/** How soon to look again whether a listener can take more, where all that are behind have a full buffer. */
const FULL_MS = 50;

/** The listeners that are behind the others. */
export interface ListenersBehind {
  add(listener: Listener): void;
  remove(listener: Listener): void;
  /** Reads older events for them until none is behind any more, one query at a time. When that fails, the next call begins again. */
  run(): Promise<void>;
}

export function openListenersBehind(
  db: Db,
  { rejoin, latest }: Pick<UpToDateListeners, "rejoin" | "latest">,
): ListenersBehind {
  const behind = new Set<Listener>();
  const outage = createOutageLog(db.log, "reading older events for listeners");
  let isRunning = false;

  function letRejoin(): void {
    for (const listener of behind) if (rejoin(listener)) behind.delete(listener);
  }

  return {
    add: (listener) => void behind.add(listener),
    remove: (listener) => void behind.delete(listener),
    async run() {
      if (isRunning) return;
      isRunning = true;
      try {
        for (letRejoin(); behind.size > 0; letRejoin()) {
          const ready = [...behind].filter((listener) => !listener.isFull());
          const [first] = ready.toSorted((a, b) => comparePositions(a.after, b.after));
          if (!first) await delay(FULL_MS, undefined, { ref: false });
          else {
            const read = await readOldEvents(db, first.after);
            const batch = read.isKnown ? read : { ...read, until: latest(read.until) };
            for (const listener of ready) if (behind.has(listener)) handOver(listener, batch);
          }
        }
        outage.worked();
      } catch (error) {
        outage.failed(error);
      } finally {
        isRunning = false;
      }
    },
  };
}
