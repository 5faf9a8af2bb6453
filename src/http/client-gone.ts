import type { Response } from "express";

/** Aborted when the client has closed its connection before the whole answer was sent. */
export function clientGone(response: Response): AbortSignal {
  const gone = new AbortController();
  const { socket } = response.req;
  response.once("close", () => {
    // What waits to be sent when the connection ends counts as finished for Node.
    if (!response.writableFinished || socket.destroyed) gone.abort();
  });
  return gone.signal;
}
