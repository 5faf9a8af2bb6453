import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { countChunks } from "../chunk-count.ts";
import { refuseBare } from "./bare-refusal.ts";
import type { SocketTurns } from "./socket-turns.ts";

/**
 * More than 4,000 chunks of one byte that come on a connection at once are refused, or more of up to 15 bytes, which count for less; 1,000 are
 * forgotten in each second. A line of text has more bytes; a token of a model or a key that is pressed has fewer.
 */
const SMALL_BYTES = 16;
const SMALL_AT_ONCE = 4_000;
/** More than 1,000 chunks of one byte that come at once end the connection's turn, or more of up to 1,023 bytes, which count for less. */
const FULL_BYTES = 1_024;
const IN_ONE_TURN = 1_000;
/** A body with so many trailers ends the connection's turn: they may be 2,000 in 8 KB, of which Node keeps 100. Nobody is known to send any. */
const MANY_TRAILERS = 20;
const TOO_MANY =
  "The body comes in too many chunks of a few bytes. Send it in larger chunks, or with its Content-Length.";

/**
 * Gives a function to be called with each request before any of its body is read. Node makes an event of each chunk, 10,900 of 64 KB in chunks of
 * one byte, and reads up to 32 times 64 KB in a row. A connection on which many chunks come is therefore read in turns. When too many small ones
 * come, which take 100 bytes of memory each, the request is answered with 400 and the connection is closed; only closed when it was answered
 * already, or waits behind another request. Chunks are counted by connection, since a short body may be followed by others.
 */
export function createManyChunksLimit(
  turns: Pick<SocketTurns, "hold" | "reportCrowd" | "endTurn">,
  answers: { get(socket: Socket): ServerResponse | undefined },
): (request: IncomingMessage, response: ServerResponse) => void {
  const ofConnections = new WeakMap<Socket, Counts>();
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
    const counts = ofConnections.get(socket) ?? newCounts();
    ofConnections.set(socket, counts);
    const push = request.push.bind(request);
    let isRefused = false;
    request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      if (isRefused) return true;
      if (chunk !== null && counts.isTooManySmall(chunk.length)) {
        isRefused = true;
        refuse(request, response);
        return true;
      }
      const goesOn = push(chunk, encoding);
      // Node has added the trailers by the time that it ends the body.
      if (chunk === null && request.rawTrailers.length >= 2 * MANY_TRAILERS) turns.endTurn(socket);
      // Where `push` gives false, Node itself pauses the connection until the body is read on.
      if (goesOn && chunk !== null && counts.isTurnOver(chunk.length)) turns.endTurn(socket);
      return goesOn;
    };
    // Node drops a body that nobody has begun to read when its request is answered, without `push`. This begins to read it, and takes nothing.
    request.read(0);
    response.on("finish", () => request.resume());
  };
}

/** What is counted of a connection. */
type Counts = ReturnType<typeof newCounts>;
const newCounts = () => ({
  isTooManySmall: countChunks(SMALL_AT_ONCE, SMALL_BYTES),
  isTurnOver: countChunks(IN_ONE_TURN, FULL_BYTES),
});
