import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import type { Request, Response } from "express";
import { ipKeyGenerator, MemoryStore } from "express-rate-limit";

const WINDOW_MS = 60_000;
/** More clients than any instance has; then what is known of them is forgotten. */
const MOST_PROVEN = 10_000;

/** Counts wrong keys by client address and minute, so that no key is found by trying. */
export interface WrongKeys {
  /**
   * True when the address has shown too many wrong keys. What it has shown as a right one before still gets in: behind one address there may
   * be a whole home, in which one machine has an old key.
   */
  isBlocked(request: Request, key: string): Promise<boolean>;
  count(request: Request, key: string): Promise<void>;
  prove(request: Request, key: string): void;
  refuse(response: Response): void;
}

/** At most `perMinute` wrong keys for an address; 0 sets no limit. No key at all is none that could be right, and does not count. */
export function createWrongKeys(perMinute: number): WrongKeys {
  const store = new MemoryStore();
  store.init({ windowMs: WINDOW_MS } as Parameters<MemoryStore["init"]>[0]);
  const proven = new Set<string>();
  const addressOf = ({ ip = "" }: Request) => ipKeyGenerator(ip);
  const proofOf = ({ ip = "" }: Request, key: string) => `${ip} ${createHash("sha256").update(key).digest("base64")}`;
  let lastWrong = Number.NEGATIVE_INFINITY;
  /** What a connection has proven already, so that its next requests need no hash. */
  const provenOn = new WeakMap<Socket, string>();
  return {
    async isBlocked(request, key) {
      if (perMinute === 0 || key === "" || Date.now() > lastWrong + WINDOW_MS) return false;
      const { totalHits = 0, resetTime } = (await store.get(addressOf(request))) ?? {};
      const isOver = totalHits >= perMinute && resetTime !== undefined && resetTime.getTime() > Date.now();
      return isOver && !proven.has(proofOf(request, key));
    },
    async count(request, key) {
      if (perMinute === 0 || key === "") return;
      lastWrong = Date.now();
      await store.increment(addressOf(request));
    },
    prove(request, key) {
      if (provenOn.get(request.socket) === key) return;
      provenOn.set(request.socket, key);
      if (proven.size >= MOST_PROVEN) proven.clear();
      proven.add(proofOf(request, key));
    },
    refuse: (response) => {
      response
        .status(429)
        .set("Retry-After", String(WINDOW_MS / 1_000))
        .json({ error: "Too many wrong keys came from this address; try again in a minute." });
    },
  };
}
