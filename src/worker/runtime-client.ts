import { setTimeout as delay } from "node:timers/promises";
import { Agent, fetch, type RequestInit } from "undici";

/** The parts of a task and its lease that a worker needs. */
export interface Work {
  task: {
    id: string;
    context_id: string;
    agent_slug: string;
    prompt: string;
    context_hints: string[];
    policy: { timeout_sec: number; budget: number };
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
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export interface RuntimeClient {
  /** One POST. Throws when no whole answer came within that time, or `signal` is aborted. */
  call(path: string, body: object, withinMs: number, signal?: AbortSignal): Promise<Answer>;
  /** Tries again, with longer and longer pauses, until the runtime has accepted or refused it for good. Throws when `signal` is aborted. */
  insist(path: string, body: object, signal?: AbortSignal): Promise<Answer>;
  /** Uploads a text as it is, under the lease, and insists in the same way. */
  upload(path: string, text: string, leaseId: string, signal?: AbortSignal): Promise<Answer>;
}

/** How long to wait after so many failures in a row, with jitter. */
export function pauseMs(failures: number, longestMs = LONGEST_PAUSE_MS): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** failures, longestMs) * (0.5 + Math.random() / 2);
}

/** Calls `<server>/api/runtime`, with the key where there is one. */
export function createRuntimeClient(server: string, apiKey: string | undefined): RuntimeClient {
  const base = `${server.replace(/\/+$/, "")}/api/runtime`;
  // By itself it gives up an upload after 300 s; every call has its own limit.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

  async function send(path: string, init: RequestInit, withinMs: number, signal?: AbortSignal): Promise<Answer> {
    // Not AbortSignal.any with AbortSignal.timeout: a timeout that only a composed signal refers to may be collected, and then never comes.
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(new Error(`no answer within ${withinMs} ms`)), withinMs);
    const onAbort = () => ended.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      signal?.throwIfAborted();
      const headers = { ...init.headers, ...(apiKey && { "x-runtime-api-key": apiKey }) };
      // Followed, a redirected POST would become a GET, and its 200 be taken for an acceptance.
      const response = await fetch(base + path, {
        ...init,
        headers,
        redirect: "manual",
        dispatcher,
        signal: ended.signal,
      });
      const text = await response.text();
      return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async function untilDecided(attempt: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
    for (let failures = 0; ; failures++) {
      signal?.throwIfAborted();
      const answer = await attempt().catch(() => undefined);
      if (answer && isFinal(answer.status)) return answer;
      await delay(pauseMs(failures), undefined, signal && { signal });
    }
  }

  const client: RuntimeClient = {
    call: (path, body, withinMs, signal) => {
      const headers = { "content-type": "application/json" };
      return send(path, { method: "POST", headers, body: JSON.stringify(body) }, withinMs, signal);
    },
    insist: (path, body, signal) => untilDecided(() => client.call(path, body, COMPLETION_WITHIN_MS, signal), signal),
    upload: (path, text, leaseId, signal) => {
      const init = { method: "PUT", headers: { "x-lease-id": leaseId }, body: text };
      return untilDecided(() => send(path, init, UPLOAD_WITHIN_MS, signal), signal);
    },
  };
  return client;
}

/** Accepted, or refused in a way that does not pass. */
function isFinal(status: number): boolean {
  return (status >= 200 && status < 300) || (status >= 400 && status < 500 && status !== 408 && status !== 429);
}
