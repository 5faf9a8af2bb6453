import type { Socket } from "node:net";

/**
 * A connection with more requests that wait is cut. 64 KB, which Node reads at once, hold 2,500 at most; it reads on while the body of an earlier
 * request is read. What is left of a connection that ends costs Node the square of their number: 1.8 s for 50,000.
 */
const MOST_WAITING = 4_000;

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
export function createPipelinedRequests(): PipelinedRequests {
  const pipelines = new WeakMap<Socket, Pipeline>();
  const beginNext = (socket: Socket, pipeline: Pipeline) => {
    // Nobody would get the answers any more.
    if (socket.destroyed) return;
    const begin = pipeline.waiting.shift();
    if (pipeline.waiting.length === 0) socket.resume();
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
      if (pipeline.waiting.push(begin) > MOST_WAITING) socket.destroy();
      else socket.pause();
    },
    leave(socket) {
      const pipeline = pipelines.get(socket);
      if (!pipeline) return;
      if (pipeline.waiting.length > 0) setImmediate(beginNext, socket, pipeline);
      else pipeline.isBusy = false;
    },
  };
}
