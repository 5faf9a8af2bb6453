import type { Socket } from "node:net";
import type { ReadingTurns } from "./socket-turns.ts";

/**
 * A read of 64 KB brings 2,500 requests at most, but Node reads on while an earlier body arrives. A connection with more than 4,000 that wait is cut:
 * closing it takes time with the square of what waits, 1.8 s for 50,000.
 */
const MOST_WAITING = 4_000;
/** More than this many of one connection count as very many: programs that send requests at once send a few dozen. */
const MANY_WAITING = 200;

/** The requests of one connection behind the one that is handled now. */
interface Pipeline {
  isBusy: boolean;
  waiting: (() => void)[];
}

/** Lets the requests of each connection begin one after the other. */
export interface PipelinedRequests {
  /** Runs `begin` for a request now, or when all earlier ones of its connection have been answered. */
  enter(socket: Socket, begin: () => void): void;
  /** The answer of the request that is handled has ended. */
  leave(socket: Socket): void;
}

/**
 * Node hands over all requests of what it has read at once, 1,500 short ones of 64 KB: twelve connections held all others up for 5 to 9 s, and
 * answers that nobody read took 1 GB. Here each begins when the one before it was answered, in a turn of the event loop of its own, and nothing more is
 * read meanwhile. An answer that waits behind another also hears nothing of the end of its connection, so that it would hold its room and places for ever.
 */
export function createPipelinedRequests(turns: ReadingTurns): PipelinedRequests {
  const pipelines = new WeakMap<Socket, Pipeline>();
  const beginNext = (socket: Socket, pipeline: Pipeline) => {
    // Nobody would get the answers any more.
    if (socket.destroyed) return;
    const begin = pipeline.waiting.shift();
    if (pipeline.waiting.length === 0) turns.letRead(socket);
    begin?.();
  };
  return {
    enter(socket, begin) {
      const pipeline = pipelines.get(socket) ?? { isBusy: false, waiting: [] };
      if (!pipeline.isBusy) {
        pipelines.set(socket, pipeline);
        pipeline.isBusy = true;
        return begin();
      }
      turns.hold(socket);
      const count = pipeline.waiting.push(begin);
      if (count === MANY_WAITING) turns.reportCrowd(socket);
      if (count > MOST_WAITING) socket.destroy();
    },
    leave(socket) {
      const pipeline = pipelines.get(socket);
      if (!pipeline) return;
      if (pipeline.waiting.length > 0) setImmediate(beginNext, socket, pipeline);
      else pipeline.isBusy = false;
    },
  };
}
