import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { RUNTIME_HEADER } from "./runtime-header.ts";

/** Clients that send a request before the last one is answered send a few; browsers, fetch and proxies none. */
const MOST_UNANSWERED = 32;
const TOO_MANY = {
  error: `This connection has ${MOST_UNANSWERED} requests without an answer. Wait for answers before you send more, or use other connections.`,
};

/** What counts the requests of each connection that are not answered. */
export interface PipeliningBound {
  /** False for a request that was refused, or that came behind one, and must be left alone. */
  admit(socket: Socket, response: ServerResponse): boolean;
  /** An admitted request was answered. */
  release(socket: Socket): void;
}

/**
 * Admits at most 32 requests of a connection that are not answered yet. The next is refused with 429, and the connection ends with that answer. Node
 * hands over all requests of what it has read at once, 1,500 short ones of 64 KB: twelve connections held all others up for 5 to 9 s, and answers that
 * nobody read took 1 GB.
 */
export function boundPipelining(): PipeliningBound {
  /** How many requests of a connection are unanswered; without end, once it was refused. */
  const unanswered = new WeakMap<Socket, number>();
  return {
    admit(socket, response) {
      const before = unanswered.get(socket) ?? 0;
      if (before === Number.POSITIVE_INFINITY) return false;
      const isAdmitted = before < MOST_UNANSWERED;
      unanswered.set(socket, isAdmitted ? before + 1 : Number.POSITIVE_INFINITY);
      if (!isAdmitted) refuse(response);
      return isAdmitted;
    },
    release: (socket) => void unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1),
  };
}

function refuse(response: ServerResponse): void {
  const body = JSON.stringify(TOO_MANY);
  const headers = { "content-type": "application/json", "content-length": body.length, connection: "close" };
  response.writeHead(429, { ...RUNTIME_HEADER, ...headers }).end(body);
}
