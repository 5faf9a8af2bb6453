import type { RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { RUNTIME_HEADER } from "./runtime-header.ts";

/** Clients that send a request before the last one is answered send a few; browsers, fetch and proxies none. */
const MOST_UNANSWERED = 32;
const TOO_MANY = {
  error: `This connection has ${MOST_UNANSWERED} requests without an answer. Wait for answers before you send more, or use other connections.`,
};

/**
 * Hands `app` at most 32 requests of a connection that are not answered yet. The next is refused with 429, and the connection ends with that answer.
 * Node hands over all requests of what it has read at once, 1,500 short ones of 64 KB: twelve connections held all others up for 5 to 9 s, and
 * answers that nobody read took 1 GB.
 */
export function boundPipelining(app: RequestListener): RequestListener {
  /** How many requests of a connection are unanswered; without end, once it was refused. */
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    const before = unanswered.get(socket) ?? 0;
    if (before === Number.POSITIVE_INFINITY) return;
    unanswered.set(socket, before < MOST_UNANSWERED ? before + 1 : Number.POSITIVE_INFINITY);
    if (before === MOST_UNANSWERED) return refuse(response);
    response.on("close", () => unanswered.set(socket, (unanswered.get(socket) ?? 0) - 1));
    app(request, response);
  };
}

function refuse(response: ServerResponse): void {
  const body = JSON.stringify(TOO_MANY);
  const headers = { "content-type": "application/json", "content-length": body.length, connection: "close" };
  response.writeHead(429, { ...RUNTIME_HEADER, ...headers }).end(body);
}
