import type { Response } from "express";

/** Gives a signal that is aborted when the client has closed its connection before the whole answer was sent. */
export function clientGone(response: Response): AbortSignal {
  const gone = new AbortController();
  const { socket } = response.req;
  response.once("close", () => {
    // For Node, an answer that still waits to be sent when the connection ends is finished.
    if (!response.writableFinished || socket.destroyed) gone.abort();
  });
  return gone.signal;
}
