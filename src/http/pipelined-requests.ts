import type { Socket } from "node:net";

/** So many requests of a connection are handled at a time. Clients that send one before the last is answered send a few; browsers and proxies none. */
const MOST_AT_A_TIME = 32;
/**
 * A connection with more that wait is cut. 64 KB, which Node reads at once, hold 2,500 at most; it reads on when an earlier request's body is read. What
 * is left of a connection that ends costs Node the square of their number: 1.8 s for 50,000.
 */
const MOST_WAITING = 4_000;

/** The requests of one connection. */
interface Pipeline {
  running: number;
  waiting: (() => void)[];
  /** Nothing more is read, since some wait. */
  isHeldBack: boolean;
}

/** Lets the requests of each connection begin in their order, a bounded number at a time. */
export interface PipelinedRequests {
  /** Runs `begin` for a request now, or when enough of the earlier ones of its connection have been answered. */
  enter(socket: Socket, begin: () => void): void;
  /** A request that has begun was answered. */
  leave(socket: Socket): void;
}

/**
 * Node hands over all requests of what it has read at once, 1,500 short ones of 64 KB: twelve connections held all others up for 5 to 9 s, and
 * answers that nobody read took 1 GB. Here they begin one by one, each in a turn of the event loop of its own, and nothing more is read meanwhile.
 */
export function createPipelinedRequests(): PipelinedRequests {
  const pipelines = new WeakMap<Socket, Pipeline>();
  const beginNext = (socket: Socket, pipeline: Pipeline) => {
    // Nobody would get the answers any more.
    if (socket.destroyed) pipeline.waiting = [];
    const begin = pipeline.waiting.shift();
    if (begin) return begin();
    pipeline.running -= 1;
    if (!pipeline.isHeldBack) return;
    pipeline.isHeldBack = false;
    socket.resume();
  };
  return {
    enter(socket, begin) {
      const pipeline = pipelines.get(socket) ?? { running: 0, waiting: [], isHeldBack: false };
      if (pipeline.running === 0) pipelines.set(socket, pipeline);
      if (pipeline.running < MOST_AT_A_TIME) {
        pipeline.running += 1;
        return begin();
      }
      pipeline.isHeldBack = true;
      if (pipeline.waiting.push(begin) > MOST_WAITING) socket.destroy();
      else socket.pause();
    },
    leave(socket) {
      const pipeline = pipelines.get(socket);
      if (!pipeline) return;
      if (pipeline.isHeldBack) setImmediate(beginNext, socket, pipeline);
      else pipeline.running -= 1;
    },
  };
}
