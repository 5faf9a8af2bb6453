import { setTimeout as delay } from "node:timers/promises";

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

const CALL_WITHIN_MS = 60_000;
const UPLOAD_WITHIN_MS = 3_600_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export interface RuntimeClient {
  /** One try. Throws when there is no answer, or `signal` is aborted. */
  call(method: "GET" | "POST", path: string, body?: object, signal?: AbortSignal): Promise<Answer>;
  /** Tries again, with longer and longer pauses, until there is an answer that is no 429 and no 5xx. Throws when `signal` is aborted. */
  insist(path: string, body: object, signal?: AbortSignal): Promise<Answer>;
  /** Uploads a text as it is, under the lease, and insists in the same way. */
  upload(path: string, text: string, leaseId: string, signal?: AbortSignal): Promise<Answer>;
}

/** Calls `<server>/api/runtime`, with the key where there is one. */
export function createRuntimeClient(server: string, apiKey: string | undefined): RuntimeClient {
  const base = `${server.replace(/\/+$/, "")}/api/runtime`;

  async function send(path: string, init: RequestInit, withinMs: number, signal?: AbortSignal): Promise<Answer> {
    const timeout = AbortSignal.timeout(withinMs);
    const response = await fetch(base + path, {
      ...init,
      headers: { ...init.headers, ...(apiKey && { "x-runtime-api-key": apiKey }) },
      signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
  }

  async function untilAnswered(attempt: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      signal?.throwIfAborted();
      const answer = await attempt().catch(() => undefined);
      if (answer && answer.status !== 429 && answer.status < 500) return answer;
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, signal && { signal });
    }
  }

  const client: RuntimeClient = {
    call: (method, path, body, signal) => {
      const json = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      return send(path, { method, ...json }, CALL_WITHIN_MS, signal);
    },
    insist: (path, body, signal) => untilAnswered(() => client.call("POST", path, body, signal), signal),
    upload: (path, text, leaseId, signal) => {
      const init = { method: "PUT", headers: { "x-lease-id": leaseId }, body: text };
      return untilAnswered(() => send(path, init, UPLOAD_WITHIN_MS, signal), signal);
    },
  };
  return client;
}
