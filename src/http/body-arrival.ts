/** How long the bodies of requests may take to arrive. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { refuseBare } from "./bare-refusal.ts";

export const TOO_LATE = "The request took too long to arrive.";
/** How often the server looks for bodies that are late. */
export const LOOK_EVERY_MS = 1_000;

interface Arrival {
  request: IncomingMessage;
  response: ServerResponse;
  /** The process's time by which its body must have arrived. */
  until: number;
}

/**
 * Requests with a body, until they are answered, in an array whose places are used again. With a Map or a WeakMap the heap grew by 20 MB a second,
 * and a seventh of the time went into collecting it: when such a table grows, its old part points to the new one, and keeps the requests in it
 * until the next full collection.
 */
const arriving: (Arrival | undefined)[] = [];
const free: number[] = [];

/**
 * Gives the request's body until `arrival.until` to arrive, and its rest `lingerMs` after the answer. Without a limit, a client that sends byte by
 * byte would hold the connection for ever.
 */
export function expectBody(arrival: Arrival, lingerMs: number): void {
  const index = free.pop() ?? arriving.length;
  arriving[index] = arrival;
  const forget = () => {
    if (arriving[index] !== arrival) return;
    arriving[index] = undefined;
    free.push(index);
  };
  const { request, response } = arrival;
  response.on("close", () => {
    if (request.complete || request.destroyed) forget();
    else arrival.until = Math.min(arrival.until, performance.now() + lingerMs);
  });
  // An answer may wait behind another one on the same connection. When that ends, only the request is closed.
  request.on("close", forget);
}

/** Gives the request's body, or the rest of it, `ms` from now to arrive, in place of its time so far. */
export function allowBody(request: IncomingMessage, ms: number): void {
  const arrival = arriving.find((each) => each?.request === request);
  if (arrival) arrival.until = performance.now() + ms;
}

/** Answers 408 to each request whose body has not arrived in time, and closes its connection. */
export function refuseLateBodies(): void {
  for (const arrival of arriving) {
    if (!arrival || arrival.request.complete || performance.now() < arrival.until) continue;
    const { request, response } = arrival;
    arrival.until = Number.POSITIVE_INFINITY;
    if (response.headersSent) {
      // The server ends its side first, so that the client reads its whole answer. A client that still sends after that is cut off.
      if (response.writableFinished && request.socket.writable) {
        request.socket.end();
        arrival.until = performance.now() + LOOK_EVERY_MS;
      } else request.destroy();
      continue;
    }
    refuseBare(response, 408, TOO_LATE, { isLast: true, whenSent: () => request.destroy() });
  }
}
