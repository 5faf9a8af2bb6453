import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import type { Request, Response } from "express";
import { clientAddressOf, clientNetworkOf } from "./client-address.ts";
import { type HitStore, WINDOW_MS } from "./rate-limit-store.ts";

/**
 * How many right keys are remembered at most, so that memory stays bounded. At this number all of them are forgotten; no instance has so
 * many clients.
 */
const MOST_PROVEN = 10_000;

/** Counts wrong keys by client address and minute, so that nobody finds a key by trying many. */
export interface WrongKeys {
  /** True when the same key was right on this connection before, and no client has shown a wrong key lately. Then nothing needs to be counted. */
  isProven(request: Request, key: string): boolean;
  /**
   * False when the address has shown too many wrong keys. A key that was right from this address before is still admitted, since many machines
   * may share an address, and one of them may have an old key. Any other key is counted as wrong before its look-up, so that a burst of guesses
   * cannot slip through; `prove` or `drop` takes that back.
   */
  admit(request: Request, key: string): Promise<boolean>;
  /** Records that the key is right, and takes back its count. */
  prove(request: Request, key: string): Promise<void>;
  /** Records that the key is wrong; it stays counted. */
  refute(request: Request, key: string): Promise<void>;
  /** Takes back the count of a key that could not be looked up. */
  drop(request: Request, key: string): Promise<void>;
  refuse(response: Response): void;
}

/**
 * Allows an address `perMinute` wrong keys, which `store` counts; 0 sets no limit. A request without a key guesses nothing, and does not count.
 */
export function createWrongKeys(perMinute: number, store: HitStore): WrongKeys {
  const proven = new Set<string>();
  const addressOf = (request: Request) => clientNetworkOf(clientAddressOf(request));
  const proofOf = (request: Request, key: string) =>
    `${addressOf(request)} ${createHash("sha256").update(key).digest("base64")}`;
  /** The last right key of a connection, so that its next requests need no hash. */
  const provenOn = new WeakMap<Socket, string>();
  /** Keys that are counted as wrong and not looked up yet. Several requests with the same key count once. */
  const guesses = new Set<string>();
  let lastWrong = Number.NEGATIVE_INFINITY;
  const takeBack = async (request: Request, key: string) => {
    if (guesses.size > 0 && guesses.delete(proofOf(request, key))) await store.decrement(addressOf(request));
  };
  return {
    // Behind a proxy one connection carries many clients, so while keys are guessed, a key is trusted by address.
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
      // The key was right before and is revoked now, so `admit` did not count it.
      if (proven.delete(proof)) await store.increment(addressOf(request));
      guesses.delete(proof);
    },
    drop: takeBack,
    refuse: (response) => {
      response
        .status(429)
        .set("Retry-After", String(WINDOW_MS / 1_000))
        .json({
          error: `Too many wrong keys came from this address; try again in a minute. A key that was right from it before goes on. WRONG_KEY_LIMIT_PER_MINUTE allows ${perMinute}.`,
        });
    },
  };
}
