import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { SocketTurns } from "./socket-turns.ts";

/**
 * A connection with this number of waiting requests is not read any further, and its address is read in turns. Programs that send requests at once
 * send about ten. With fewer, the connection is read on, since only then the end of a connection is seen while its first request waits for something.
 */
const MANY_WAITING = 20;
/** When more requests than this wait on all connections together, a connection with MANY_WAITING of them is closed. Each takes about 5 KB. */
const MOST_IN_ALL = 5_000;

/** A connection's requests that wait until its present request is answered. */
interface Pipeline {
  isBusy: boolean;
  waiting: Waiting[];
}
interface Waiting {
  begin(): void;
  request: IncomingMessage | undefined;
}

/** Lets the requests of each connection begin one after the other. */
export interface PipelinedRequests {
  /** Runs `begin`, which answers a request or refuses it, now or when all earlier requests of its connection have been answered. */
  enter(socket: Socket, begin: () => void, request?: IncomingMessage): void;
  /** The answer of the request that is handled has ended. */
  leave(socket: Socket): void;
}

/**
 * Node hands over all requests of what it has read at once, 2,500 short ones of 64 KB: twelve connections held all others up for 5 to 9 s, and
 * answers that nobody read took 1 GB. Here each request begins when the request before it was answered, in a turn of the event loop of its own,
 * and where many wait, nothing more is read. If all were begun at once, an answer that waits behind another would not hear that its connection
 * has ended, and would keep its memory and places for ever.
 */
export function createPipelinedRequests(turns: SocketTurns): PipelinedRequests {
  const pipelines = new WeakMap<Socket, Pipeline>();
  let inAll = 0;
  const open = (socket: Socket): Pipeline => {
    const pipeline: Pipeline = { isBusy: false, waiting: [] };
    pipelines.set(socket, pipeline);
    // Nobody would get the answers any more. Node destroys what waits too, but with an error, whose stack takes 40 µs: 100 ms for 64 KB of requests.
    socket.prependOnceListener("close", () => {
      inAll -= pipeline.waiting.length;
      for (const { request } of pipeline.waiting) request?.destroy();
      pipeline.waiting = [];
    });
    return pipeline;
  };
  const beginNext = (socket: Socket, pipeline: Pipeline) => {
    // The answer before was the connection's last, which HTTP forbids to go on from. What waits ends with the connection.
    if (!socket.writable) return;
    const next = pipeline.waiting.shift();
    if (!next) return;
    inAll -= 1;
    if (pipeline.waiting.length === 0) turns.letRead(socket);
    next.begin();
  };
  return {
    enter(socket, begin, request) {
      const pipeline = pipelines.get(socket) ?? open(socket);
      if (!pipeline.isBusy) {
        pipeline.isBusy = true;
        return begin();
      }
      // Node still makes the requests that it had read from a connection before that was cut.
      if (socket.destroyed) return void request?.destroy();
      inAll += 1;
      const count = pipeline.waiting.push({ begin, request });
      if (count < MANY_WAITING) return;
      turns.hold(socket);
      turns.reportCrowd(socket);
      if (inAll > MOST_IN_ALL) socket.destroy();
    },
    leave(socket) {
      const pipeline = pipelines.get(socket);
      if (!pipeline) return;
      if (pipeline.waiting.length > 0) setImmediate(beginNext, socket, pipeline);
      else pipeline.isBusy = false;
    },
  };
}
