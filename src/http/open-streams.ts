import type { Response } from "express";
import type { Caller } from "../caller.ts";
import type { Db } from "../db/client.ts";
import { messageOf, Unavailable } from "../errors.ts";
import { clientGone } from "./client-gone.ts";
import type { KeyWatch } from "./key-watch.ts";
import { type EventStream, openEventStream } from "./sse-answer.ts";

/** An instance takes 1,000 streams of a kind (`src/events/event-hub.ts`); one named key may have 200, of all kinds together. */
const MOST_OF_A_KEY = 200;

/** Who a stream is for. */
export interface StreamCall {
  response: Response;
  db: Db;
  caller: Caller;
}

/** The Server-Sent Events that an instance is sending. */
export interface Streams {
  /**
   * Answers with Server-Sent Events: `follow` sends them until all is sent, or its signal is aborted, since the client has gone away or its key was
   * revoked. Where `follow` ends by itself, the stream ends; else the connection is cut, by which the client sees that it must come again. `lastId`
   * gives the id of the last event, which comments repeat. Unavailable: the named key has too many streams open already.
   */
  serve(
    call: StreamCall,
    follow: (stream: EventStream, signal: AbortSignal) => Promise<void>,
    lastId?: () => string | undefined,
  ): Promise<void>;
}

/** Sends the streams of an instance, and counts those that each named key has open. `keyWatch` tells when a key is revoked. */
export function createStreams(keyWatch: KeyWatch): Streams {
  const open = new Map<string, number>();

  /** Counts a stream of the key, and gives what ends the count. The main key, and callers without any, have no bound of their own. */
  function count(keyId: string | undefined): () => void {
    if (keyId === undefined) return () => {};
    const before = open.get(keyId) ?? 0;
    if (before >= MOST_OF_A_KEY)
      throw new Unavailable(`This key has ${before} streams open on this instance; close one of them, and try again.`);
    open.set(keyId, before + 1);
    return () => {
      const left = (open.get(keyId) ?? 0) - 1;
      if (left > 0) open.set(keyId, left);
      else open.delete(keyId);
    };
  }

  return {
    async serve({ response, db, caller }, follow, lastId) {
      const uncount = count(caller.key?.id);
      const { signal, forget } = keyWatch.watch(caller.key?.id, clientGone(response));
      const stream = openEventStream(response, lastId);
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
        uncount();
      }
    },
  };
}
