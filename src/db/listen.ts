import { Socket } from "node:net";
import pg from "pg";
import type { Logger } from "pino";
import { pause } from "../abort-signals.ts";
import { messageOf } from "../errors.ts";
import { CONNECT_WITHIN_MS, connectWritable } from "./writable-connection.ts";

const AGAIN_AFTER_MS = 1_000;

export interface Listener {
  /** Resolves soon, also when the database does not answer. */
  stop(): Promise<void>;
}

/**
 * Calls `hear` at every notification on `channel`. It uses its own connection and reconnects when that is lost. Notifications are hints:
 * some may be missed, and behind PgBouncer in transaction mode none arrive.
 */
export function listen(url: string, channel: string, log: Logger, hear: () => void): Listener {
  const stopped = new AbortController();
  const { signal } = stopped;

  async function once(): Promise<void> {
    // The socket is destroyed instead of closed politely: if the server has vanished, a polite close would wait for its answer.
    const socket = new Socket();
    const cut = () => void socket.destroy();
    signal.addEventListener("abort", cut, { once: true });
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    try {
      const client = await connectWritable({
        connectionString: url,
        application_name: "bloom-runtime listen",
        keepAlive: true,
        query_timeout: CONNECT_WITHIN_MS,
        stream: () => socket,
      });
      client.on("notification", hear);
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      // Notifications sent while nobody listened are lost, so look once now.
      hear();
      await ended;
    } finally {
      signal.removeEventListener("abort", cut);
      cut();
    }
  }

  const done = (async () => {
    while (!signal.aborted) {
      await once().catch((error) =>
        log.debug({ reason: messageOf(error) }, "the connection for notifications is lost; it is made again"),
      );
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
