import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { refuseBare } from "./bare-refusal.ts";
import type { SocketTurns } from "./socket-turns.ts";

/** A chunk with fewer bytes is small. A line of text has more; a token of a model or a key that is pressed has fewer. */
const SMALL_BYTES = 16;
/** The number of small chunks that may come on a connection at once; 1,000 more may come in each second. A model streams about 100 tokens a second. */
const AT_ONCE = 4_000;
const PER_MS = 1;
const TOO_MANY =
  "The body comes in too many chunks of a few bytes. Send it in larger chunks, or with its Content-Length.";

interface Taken {
  /** Small chunks that have come and are not yet made up for by time. */
  count: number;
  /** The process's time at which `count` was right. */
  at: number;
}

/**
 * Gives a function to be called with each request before any of its body is read. When too many small chunks come on its connection, it is
 * answered with 400 and the connection is closed; only closed when it was answered already, or waits behind another request. Node makes an event
 * of each chunk, 10,900 of 64 KB in chunks of one byte, and reads up to 32 times 64 KB in a row: 10 connections without a key held all others up
 * for 3 s. Chunks are counted by connection, since a short body may be followed by others.
 */
export function createSmallChunksLimit(
  turns: Pick<SocketTurns, "hold" | "reportCrowd">,
  answers: { get(socket: Socket): ServerResponse | undefined },
): (request: IncomingMessage, response: ServerResponse) => void {
  const ofConnections = new WeakMap<Socket, Taken>();
  const refuse = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    turns.hold(socket);
    turns.reportCrowd(socket);
    if (answers.get(socket) !== response || response.headersSent) return void request.destroy();
    refuseBare(response, 400, TOO_MANY, { isLast: true, whenSent: () => request.destroy() });
  };
  return (request, response) => {
    if (request.headers["transfer-encoding"] === undefined) return;
    const { socket } = request;
    const taken = ofConnections.get(socket) ?? { count: 0, at: performance.now() };
    ofConnections.set(socket, taken);
    const push = request.push.bind(request);
    let isRefused = false;
    request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      if (isRefused) return true;
      if (chunk !== null && chunk.length < SMALL_BYTES && isTooMany(taken)) {
        isRefused = true;
        refuse(request, response);
        return true;
      }
      return push(chunk, encoding);
    };
    // Node drops a body that nobody has begun to read when its request is answered, without `push`. This begins to read it, and takes nothing.
    request.read(0);
    response.on("finish", () => request.resume());
  };
}

/** Counts one small chunk more. */
function isTooMany(taken: Taken): boolean {
  const now = performance.now();
  taken.count = Math.max(0, taken.count - (now - taken.at) * PER_MS) + 1;
  taken.at = now;
  return taken.count > AT_ONCE;
}
