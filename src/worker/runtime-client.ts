import { createReadStream } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, type Dispatcher, request } from "undici";
import { messageOf } from "../errors.ts";
import type { ApiKey } from "./api-key.ts";

/** The parts of a task and its lease that a worker needs. */
export interface Work {
  task: {
    id: string;
    context_id: string;
    agent_slug: string;
    prompt: string;
    context_hints: string[];
    policy: { timeout_sec: number; budget: unknown };
    desired_format: string;
  };
  lease: { id: string; ttl_seconds: number };
}

export interface Answer {
  status: number;
  /** The JSON that came, or an empty object. */
  body: Record<string, unknown>;
}

const COMPLETION_WITHIN_MS = 60_000;
const UPLOAD_WITHIN_MS = 3_600_000;
/** A finished result is offered for so long: the runtime may be away, or know a new key by then. */
const OFFERED_FOR_MS = 3_600_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** After a key that was refused: each one counts, and too many lock out all that come from the same address. */
export const REFUSED_PAUSE_MS = 30_000;

export interface RuntimeClient {
  /** One POST. Throws when within that time no whole answer of the runtime's own came, or `signal` is aborted. */
  call(path: string, body: object, withinMs: number, signal?: AbortSignal): Promise<Answer>;
  /**
   * Tries again, with longer and longer pauses, until the runtime has accepted or refused it for good. A refused key is not for good: the
   * next one may be on its way. Throws when an hour has passed, or `signal` is aborted.
   */
  insist(path: string, body: object, signal?: AbortSignal): Promise<Answer>;
  /** Uploads a file as it is, under the lease, and insists in the same way. */
  upload(path: string, file: FileOf, leaseId: string, signal?: AbortSignal): Promise<Answer>;
  /** Reads the key anew after a 401; true when there is another one. */
  renewKey(): Promise<boolean>;
}

export interface FileOf {
  path: string;
  sizeBytes: number;
}

/** How long to wait after so many failures in a row, with jitter. */
export function pauseMs(failures: number, longestMs = LONGEST_PAUSE_MS): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** failures, longestMs) * (0.5 + Math.random() / 2);
}

/** Calls `<server>/api/runtime`, with the key where there is one. */
export function createRuntimeClient(server: string, apiKey: ApiKey): RuntimeClient {
  const base = `${server.replace(/\/+$/, "")}/api/runtime`;
  // By itself it gives up an upload after 300 s; every call has its own limit.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

  async function send(path: string, init: Sent, withinMs: number, signal?: AbortSignal): Promise<Answer> {
    // Not AbortSignal.any with AbortSignal.timeout: a timeout that only a composed signal refers to may be collected, and then never comes.
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(new Error(`no answer within ${withinMs} ms`)), withinMs);
    const onAbort = () => ended.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      signal?.throwIfAborted();
      const key = apiKey.current();
      const headers = { ...init.headers, ...(key && { "x-runtime-api-key": key }) };
      // Redirects are not followed: a redirected POST would become a GET, and its 200 be taken for an acceptance.
      const response = await request(base + path, { ...init, headers, dispatcher, signal: ended.signal });
      const text = await response.body.text();
      // A proxy in front answers for itself while the runtime is being exchanged. What it says is no word about a task.
      if (response.headers["x-bloom-runtime"] !== "1")
        throw new Error(`the answer ${response.statusCode} is not the runtime's own`);
      return { status: response.statusCode, body: text.startsWith("{") ? JSON.parse(text) : {} };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async function untilDecided(attempt: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
    const giveUpAt = performance.now() + OFFERED_FOR_MS;
    for (let failures = 0; ; failures++) {
      signal?.throwIfAborted();
      const { status, ...answer } = await attempt().catch((error: unknown) => ({ status: 0, body: {}, error }));
      if (isFinal(status)) return { status, ...answer };
      if (performance.now() > giveUpAt) {
        const last = "error" in answer ? messageOf(answer.error) : status;
        throw new Error(`given up after an hour; the last answer: ${last}`);
      }
      const isKeyRefused = status === 401;
      if (isKeyRefused && (await apiKey.renew())) continue;
      await delay(isKeyRefused ? REFUSED_PAUSE_MS : pauseMs(failures), undefined, signal && { signal });
    }
  }

  const client: RuntimeClient = {
    call: (path, body, withinMs, signal) => {
      const headers = { "content-type": "application/json" };
      return send(path, { method: "POST", headers, body: JSON.stringify(body) }, withinMs, signal);
    },
    insist: (path, body, signal) => untilDecided(() => client.call(path, body, COMPLETION_WITHIN_MS, signal), signal),
    upload: (path, file, leaseId, signal) => {
      const headers = { "x-lease-id": leaseId, "content-length": String(file.sizeBytes) };
      const attempt = () => {
        const body = file.sizeBytes > 0 ? createReadStream(file.path, { end: file.sizeBytes - 1 }) : "";
        return send(path, { method: "PUT", headers, body }, UPLOAD_WITHIN_MS, signal);
      };
      return untilDecided(attempt, signal);
    },
    renewKey: apiKey.renew,
  };
  return client;
}

interface Sent {
  method: "POST" | "PUT";
  headers: Record<string, string>;
  body: NonNullable<Dispatcher.DispatchOptions["body"]>;
}

/** Accepted, or refused in a way that does not pass. */
function isFinal(status: number): boolean {
  return (status >= 200 && status < 300) || (status >= 400 && status < 500 && ![401, 408, 429].includes(status));
}
