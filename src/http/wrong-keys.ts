import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import type { Request, Response } from "express";
import { MemoryStore } from "express-rate-limit";
import { clientAddressOf, clientNetworkOf } from "./client-address.ts";

const WINDOW_MS = 60_000;
/** More clients than any instance has; then what is known of them is forgotten. */
const MOST_PROVEN = 10_000;

/** Counts wrong keys by client address and minute, so that no key is found by trying. */
export interface WrongKeys {
  /** True when this connection has shown the same key as a right one before, and nobody guesses now: nothing needs to be counted. */
  isProven(request: Request, key: string): boolean;
  /**
   * False when the address has shown too many wrong keys. What it has shown as a right one before still gets in: behind one address there may
   * be a whole home, in which one machine has an old key. Any other counts as a wrong one from here on, until it is proven or dropped: of many
   * that come at once, none is judged before all are counted.
   */
  admit(request: Request, key: string): Promise<boolean>;
  /** The key is right. */
  prove(request: Request, key: string): Promise<void>;
  /** The key is wrong. */
  refute(request: Request, key: string): Promise<void>;
  /** Nobody knows. */
  drop(request: Request, key: string): Promise<void>;
  refuse(response: Response): void;
}

/** At most `perMinute` wrong keys for an address; 0 sets no limit. No key at all is none that could be right, and does not count. */
export function createWrongKeys(perMinute: number): WrongKeys {
  const store = new MemoryStore();
  store.init({ windowMs: WINDOW_MS } as Parameters<MemoryStore["init"]>[0]);
  const proven = new Set<string>();
  const addressOf = (request: Request) => clientNetworkOf(clientAddressOf(request));
  const proofOf = (request: Request, key: string) =>
    `${addressOf(request)} ${createHash("sha256").update(key).digest("base64")}`;
  /** What a connection has proven already, so that its next requests need no hash. */
  const provenOn = new WeakMap<Socket, string>();
  /** Counted, and not judged yet. A client's first requests, all with one key, are one guess. */
  const guesses = new Set<string>();
  let lastWrong = Number.NEGATIVE_INFINITY;
  const takeBack = async (request: Request, key: string) => {
    if (guesses.size > 0 && guesses.delete(proofOf(request, key))) await store.decrement(addressOf(request));
  };
  return {
    // Over a proxy's connection come clients of many addresses: while one of them guesses, it is the address that counts.
    isProven: ({ socket }, key) =>
      provenOn.get(socket) === key && guesses.size === 0 && Date.now() > lastWrong + WINDOW_MS,
    async admit(request, key) {
      if (perMinute === 0 || key === "") return true;
      const proof = proofOf(request, key);
      if (proven.has(proof) || guesses.has(proof)) return true;
      guesses.add(proof);
      const { totalHits } = await store.increment(addressOf(request));
      if (totalHits > perMinute) guesses.delete(proof);
      return totalHits <= perMinute;
    },
    async prove(request, key) {
      provenOn.set(request.socket, key);
      if (proven.size >= MOST_PROVEN) proven.clear();
      proven.add(proofOf(request, key));
      await takeBack(request, key);
    },
    async refute(request, key) {
      if (perMinute === 0 || key === "") return;
      lastWrong = Date.now();
      const proof = proofOf(request, key);
      provenOn.delete(request.socket);
      // One that was right before, and is revoked.
      if (proven.delete(proof)) await store.increment(addressOf(request));
      guesses.delete(proof);
    },
    drop: takeBack,
    refuse: (response) => {
      response
        .status(429)
        .set("Retry-After", String(WINDOW_MS / 1_000))
        .json({
          error: `Too many wrong keys came from this address; try again in a minute. WRONG_KEY_LIMIT_PER_MINUTE allows ${perMinute}.`,
        });
    },
  };
}
