import type { Response } from "express";
import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";
import { messageOf } from "../errors.ts";
import { clientGone } from "./client-gone.ts";
import { type EventStream, openEventStream } from "./event-stream.ts";
import type { KeyWatch } from "./key-watch.ts";

/** Who a stream is for. */
export interface StreamCall {
  response: Response;
  db: Db;
  caller: Caller;
}

/**
 * Answers with Server-Sent Events: `follow` sends them until all is sent, or its signal is aborted, since the client has gone away or its key was
 * revoked. Where `follow` ends by itself, the stream ends; else the connection is cut, by which the client sees that it must come again. `place` is
 * where the stream is, for its comments.
 */
export async function serveStream(
  { response, db, caller }: StreamCall,
  keyWatch: KeyWatch,
  follow: (stream: EventStream, signal: AbortSignal) => Promise<void>,
  place?: () => string | undefined,
): Promise<void> {
  const { signal, forget } = keyWatch.watch(caller.key?.id, clientGone(response));
  const stream = openEventStream(response, place);
  try {
    await follow(stream, signal);
    if (signal.aborted) stream.cut();
    else stream.end();
  } catch (error) {
    // The status was sent already.
    db.log.warn({ reason: messageOf(error), requestId: caller.requestId }, "a stream was cut");
    stream.cut();
  } finally {
    forget();
  }
}
