import { Socket } from "node:net";
import pg from "pg";
import type { Logger } from "pino";
import { pause } from "../abort-signals.ts";
import { messageOf } from "../errors.ts";
import { connectWritable, requireWritable } from "./connect-writable.ts";
import type { Servers } from "./servers.ts";

const AGAIN_AFTER_MS = 1_000;
/** A server that vanished says nothing, and a server that became a standby may keep its connections. */
const LOOK_EVERY_MS = 1_000;
const ANSWER_WITHIN_MS = 2_000;

export interface Listener {
  /** Resolves soon, also when the database does not answer. */
  stop(): Promise<void>;
}

/**
 * Calls `hear` at every notification on `channel`. It uses its own connection, asks on it each second whether the server is still there and
 * takes changes, and connects anew when not, to whichever of the servers does. Notifications are hints: some may be missed, and behind PgBouncer
 * in transaction mode none arrive.
 */
export function listen(servers: Servers | string, channel: string, log: Logger, hear: () => void): Listener {
  const stopped = new AbortController();
  const { signal } = stopped;

  async function once(): Promise<void> {
    // The socket is destroyed instead of closed politely: if the server has vanished, a polite close would wait for its answer.
    const socket = new Socket();
    const cut = () => void socket.destroy();
    signal.addEventListener("abort", cut, { once: true });
    const lost = new AbortController();
    socket.once("close", () => lost.abort());
    try {
      const client = await connectWritable(servers, {
        application_name: "bloom-runtime listen",
        keepAlive: true,
        query_timeout: ANSWER_WITHIN_MS,
        stream: () => socket,
      });
      client.on("notification", hear);
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      // Notifications sent while nobody listened are lost, so look once now.
      hear();
      while (!lost.signal.aborted) {
        await pause(LOOK_EVERY_MS, lost.signal);
        if (!lost.signal.aborted) await requireWritable(client);
      }
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
      // stop() aborts the signal, which ends this pause and the loop.
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
