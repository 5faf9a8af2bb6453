import type { Request, Response } from "express";
import { Refusal } from "../errors.ts";
import { allowBody } from "./body-arrival.ts";

/** Memory for two bodies of the largest default size (10 MB). While a body is handled, its text is in memory about four times. */
const BUDGET_BYTES = 20 * 1024 * 1024;
/**
 * Bodies of up to this size, such as results in JSON, have memory of their own: a client that sends very large bodies slowly does not hold these
 * up.
 */
const MEDIUM_BYTES = 2 * 1024 * 1024;
const MEDIUM_BUDGET_BYTES = 8 * 1024 * 1024;
const WAIT_MS = 15_000;
/**
 * While others wait for memory, a body that has it must arrive within 5 s, or at 1 MB a second. Without this, a client that sent a few bytes a
 * minute held the memory for 2 min.
 */
const LEAST_ARRIVAL_MS = 5_000;
const ARRIVAL_BYTES_PER_MS = 1_000;
const LOOK_EVERY_MS = 1_000;

/** 503: other large bodies use all the memory that large bodies may use. */
class TooManyBodies extends Refusal {
  readonly status = 503;
}

/** Bounds the bytes of large bodies that are in memory at a time. */
export interface BodyBudget {
  /**
   * Takes `bytes` when there is memory for them, and gives them back when the response has ended. Rejects with a 503 after 15 s without memory. A body
   * that arrives slowly is refused with 408 when others wait for its memory.
   */
  reserve(bytes: number, response: Response): Promise<void>;
}

interface Holder {
  request: Request;
  /** The process's time by which the body must have arrived when others wait. */
  until: number;
}

interface Waiting {
  bytes: number;
  admit(): void;
}

/** Makes a budget, which has memory for one body of `largestBytes` at least. First come, first served. `waitMs` is for tests. */
export function createBodyBudget(largestBytes: number, waitMs = WAIT_MS): BodyBudget {
  const medium = budgetOf(MEDIUM_BUDGET_BYTES, waitMs);
  const large = budgetOf(Math.max(BUDGET_BYTES, largestBytes), waitMs);
  return {
    reserve: (bytes, response) => (bytes <= MEDIUM_BYTES ? medium : large).reserve(bytes, response),
  };
}

function budgetOf(budgetBytes: number, waitMs: number): BodyBudget {
  let free = budgetBytes;
  const waiting = new Set<Waiting>();
  const holders = new Set<Holder>();
  /** Looks for slow bodies as long as somebody waits for their memory. */
  let looking: NodeJS.Timeout | undefined;
  const refuseSlow = () => {
    for (const { request, until } of holders) if (!request.complete && performance.now() > until) allowBody(request, 0);
  };
  const admitNext = () => {
    for (const next of waiting) {
      if (next.bytes > free) return;
      waiting.delete(next);
      next.admit();
    }
  };
  const take = (bytes: number, response: Response) => {
    free -= bytes;
    const arrivalMs = Math.max(LEAST_ARRIVAL_MS, bytes / ARRIVAL_BYTES_PER_MS);
    const holder = { request: response.req, until: performance.now() + arrivalMs };
    holders.add(holder);
    const giveBack = () => {
      if (!holders.delete(holder)) return;
      free += bytes;
      admitNext();
    };
    // `prefinish` comes when the answer is written, whether its client reads it or not.
    response.once("prefinish", giveBack).once("close", giveBack);
  };
  return {
    reserve(bytes, response) {
      if (waiting.size === 0 && bytes <= free) {
        take(bytes, response);
        return Promise.resolve();
      }
      return new Promise((resolve, reject) => {
        const leave = (settle: () => void) => {
          clearTimeout(timer);
          response.off("close", giveUp);
          waiting.delete(asking);
          if (waiting.size === 0) {
            clearInterval(looking);
            looking = undefined;
          }
          settle();
        };
        const asking: Waiting = {
          bytes,
          admit: () =>
            leave(() => {
              take(bytes, response);
              resolve();
            }),
        };
        const giveUp = () => {
          leave(() => reject(new TooManyBodies("Too many large bodies are being read now. Try again shortly.")));
          // The next body may need less.
          admitNext();
        };
        const timer = setTimeout(giveUp, waitMs);
        looking ??= setInterval(refuseSlow, LOOK_EVERY_MS).unref();
        response.once("close", giveUp);
        waiting.add(asking);
      });
    },
  };
}
