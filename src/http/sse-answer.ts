import type { ServerResponse } from "node:http";

/** Proxies close a connection on which nothing comes for a minute. */
const COMMENT_EVERY_MS = 15_000;
/** A client that leaves more than this number of bytes untaken is cut off. With `Last-Event-ID` it goes on from where it was. */
const MOST_UNSENT_BYTES = 1_000_000;

/** One event of a stream. Without `data` it only says where the client is, for its `Last-Event-ID`. */
export interface SentEvent {
  id?: string | undefined;
  event?: string;
  data?: unknown;
}

/** An answer of Server-Sent Events. */
export interface EventStream {
  /** Sends these events, or cuts a client off that has not taken the events before. */
  send(events: SentEvent[]): void;
  /** True while the client has not yet taken what was sent. */
  isFull(): boolean;
  /** Ends the answer, by which the client sees that it has got everything. */
  end(): void;
  /** Cuts the connection, by which the client sees that the stream is not over: it shall come again. */
  cut(): void;
}

/**
 * Begins an answer of Server-Sent Events, with a comment at once and every 15 s, and with the id that `lastId` gives: the id tells a client that has
 * got nothing for a while where to go on. A client is cut off when it has a megabyte to take, or has taken nothing since the comment before.
 */
export function openEventStream(
  response: ServerResponse,
  lastId: () => string | undefined = () => undefined,
  commentEveryMs = COMMENT_EVERY_MS,
): EventStream {
  response.writeHead(200, {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
  });
  response.flushHeaders();
  const socket = response.socket;
  let takenBefore: number | undefined;
  const write = (text: string) => {
    response.write(text);
    if (response.writableLength > MOST_UNSENT_BYTES) response.destroy();
  };
  const comment = () => write(`: \n${textOf({ id: lastId() })}`);
  // The first comment comes at once: a client whose stream is lost before its first event then knows where to go on.
  comment();
  const comments = setInterval(() => {
    const taken = socket?.bytesWritten === undefined ? 0 : socket.bytesWritten - socket.writableLength;
    if (response.writableNeedDrain && taken === takenBefore) return void response.destroy();
    takenBefore = taken;
    comment();
  }, commentEveryMs).unref();
  response.once("close", () => clearInterval(comments));
  return {
    send: (events) => write(events.map(textOf).join("")),
    isFull: () => response.writableNeedDrain,
    end: () => void response.end(),
    cut: () => void response.destroy(),
  };
}

function textOf({ id, event, data }: SentEvent): string {
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}${data === undefined ? "" : `data: ${JSON.stringify(data)}\n`}\n`;
}
