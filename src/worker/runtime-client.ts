import { createReadStream } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, type Dispatcher, request } from "undici";
import { joinSignals } from "../abort-signals.ts";
import { messageOf } from "../errors.ts";
import type { ApiKey } from "./api-key.ts";

/** The parts of a task and its lease that a worker needs. What an older runtime does not send may be missing. */
export interface Work {
  task: {
    id: string;
    context_id: string;
    agent_slug: string;
    agent_kind?: string | null;
    prompt: string;
    context_hints: string[];
    policy: { timeout_sec: number; budget: unknown; model?: string };
    desired_format: string;
    structured_input?: unknown;
    attachments?: unknown[];
    tracing?: unknown;
    output_schema?: unknown;
  };
  lease: { id: string; ttl_seconds: number };
  /** What is left of the task's limits. */
  limits_left?: { max_usd?: number; max_tokens?: number; max_turns?: number } | null;
  /** The session of the CLI to go on with. */
  resume_session?: string | null;
  /** Where the command's own spans belong in the task's trace (W3C Trace Context). */
  traceparent?: string | null;
}

export interface Answer {
  status: number;
  /** The JSON that came, or an empty object. */
  body: Record<string, unknown>;
  /** When to ask again, as the runtime says. */
  retryAfterSeconds?: number | undefined;
}

const COMPLETION_WITHIN_MS = 60_000;
const UPLOAD_WITHIN_MS = 3_600_000;
/** How long a result is sent again: by then the runtime may be back, or there may be a new key. */
const OFFERED_FOR_MS = 3_600_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** The pause after a refused key. Each refusal counts, and too many lock out every worker at this address. */
export const REFUSED_PAUSE_MS = 30_000;

export interface RuntimeClient {
  /** Makes one POST. Throws when the runtime itself did not answer within that time, or `signal` is aborted. */
  call(path: string, body: object, withinMs: number, signal?: AbortSignal): Promise<Answer>;
  /**
   * Makes the POST again, with longer and longer pauses, until the runtime has accepted or refused it for good. A refused key is not for good,
   * since a new key may come. Throws when an hour has passed, or `signal` is aborted.
   */
  insist(path: string, body: object, signal?: AbortSignal): Promise<Answer>;
  /** Uploads a file as it is, under the lease, and tries again like `insist`. */
  upload(path: string, file: FileOf, leaseId: string, signal?: AbortSignal): Promise<Answer>;
  /** Reads the key again after a 401. True when there is a new one. */
  renewKey(): Promise<boolean>;
}

export interface FileOf {
  path: string;
  sizeBytes: number;
}

/** How many milliseconds to wait after so many failures in a row, with a random part. */
export function pauseMs(failures: number, longestMs = LONGEST_PAUSE_MS): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** failures, longestMs) * (0.5 + Math.random() / 2);
}

/** Makes the client that calls `<server>/api/runtime`, with the key if there is one. */
export function createRuntimeClient(server: string, apiKey: ApiKey): RuntimeClient {
  const base = `${server.replace(/\/+$/, "")}/api/runtime`;
  // Undici's own limits would end an upload after 300 s. Every call has a limit of its own.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

  async function send(path: string, init: Sent, withinMs: number, signal?: AbortSignal): Promise<Answer> {
    const late = () => new Error(`no answer within ${withinMs} ms`);
    const ended = joinSignals(signal ? [signal] : [], withinMs, late);
    try {
      signal?.throwIfAborted();
      const key = apiKey.current();
      const headers = { ...init.headers, ...(key && { "x-runtime-api-key": key }) };
      // Redirects are not followed: a redirected POST would become a GET, whose 200 would be taken for an acceptance.
      const response = await request(base + path, { ...init, headers, dispatcher, signal: ended.signal });
      const text = await response.body.text();
      // While the runtime restarts, a proxy in front of it answers by itself. Such an answer says nothing about a task.
      if (response.headers["x-bloom-runtime"] !== "1")
        throw new Error(`the answer ${response.statusCode} is not the runtime's own`);
      return {
        status: response.statusCode,
        body: text.startsWith("{") ? JSON.parse(text) : {},
        retryAfterSeconds: Number(response.headers["retry-after"]) || undefined,
      };
    } finally {
      ended.forget();
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

/** True for an acceptance, and for a refusal that will not pass. */
function isFinal(status: number): boolean {
  return (status >= 200 && status < 300) || (status >= 400 && status < 500 && ![401, 408, 429].includes(status));
}
