import { Socket } from "node:net";
import pg from "pg";
import type { Logger } from "pino";
import { messageOf } from "../errors.ts";
import { pause } from "../signals.ts";

const AGAIN_AFTER_MS = 1_000;
const ANSWER_WITHIN_MS = 5_000;

export interface Listener {
  /** Resolves soon, also when the database does not answer. */
  stop(): Promise<void>;
}

/**
 * Calls `hear` at every notification on `channel`, on a connection of its own, which is made again when it is lost. Notifications are
 * hints: some may be missed, and behind PgBouncer in transaction mode none arrive.
 */
export function listen(url: string, channel: string, log: Logger, hear: () => void): Listener {
  const stopped = new AbortController();
  const { signal } = stopped;

  async function once(): Promise<void> {
    // Cut off, and not ended: the other end may have vanished, and a goodbye waits for its answer.
    const socket = new Socket();
    const cut = () => void socket.destroy();
    signal.addEventListener("abort", cut, { once: true });
    const client = new pg.Client({
      connectionString: url,
      application_name: "bloom-runtime listen",
      keepAlive: true,
      connectionTimeoutMillis: ANSWER_WITHIN_MS,
      query_timeout: ANSWER_WITHIN_MS,
      stream: () => socket,
    });
    const ended = new Promise<void>((resolve) => {
      client.once("end", () => resolve());
      client.on("error", () => resolve());
    });
    try {
      client.on("notification", hear);
      await client.connect();
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      // What was sent while nobody listened.
      hear();
      await ended;
    } finally {
      signal.removeEventListener("abort", cut);
      cut();
    }
  }

  const done = (async () => {
    while (!signal.aborted) {
      await once().catch((error) => log.debug({ reason: messageOf(error) }, "nobody listens for notifications now"));
      // An aborted wait is how stop() ends it.
      await pause(AGAIN_AFTER_MS, signal);
    }
  })();
  return {
    stop: () => {
      stopped.abort();
      return done;
    },
  };
}
