import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, fetch } from "undici";
import { withDeadline } from "../abort-signals.ts";
import {
  type Bytes,
  type Client,
  createClient,
  type Lease,
  type LeasedTask,
  Refused,
  type Task,
} from "../client/index.ts";
import { messageOf } from "../errors.ts";
import type { ApiKey } from "./api-key.ts";

/** What a worker needs of a task and its lease. What an older runtime does not send may be missing. */
export interface Work extends Partial<Omit<LeasedTask, "task" | "lease">> {
  task: Pick<Task, "id" | "context_id" | "agent_slug" | "prompt" | "context_hints" | "policy" | "desired_format"> &
    Partial<Pick<Task, "agent_kind" | "structured_input" | "attachments" | "tracing" | "output_schema">>;
  lease: Pick<Lease, "id" | "ttl_seconds">;
}

/** What became of a call: what the runtime answered, or why not. `status` is 0 where the runtime itself did not answer in time. */
export type Answer<Value> =
  | { ok: true; value: Value }
  | { ok: false; status: number; error: string; retryAfterSeconds?: number | undefined };

/** Makes one call of the client, under the signal. */
export type Call<Value> = (client: Client, signal: AbortSignal) => Promise<Value>;

/** True for an answer that has what the worker needs of it. */
export type Check = (value: unknown) => boolean;
type Fields = Record<string, unknown>;
export const isRecord = (value: unknown): value is Fields => typeof value === "object" && value !== null;
/** What a claim answers: nothing, or tasks with all that `Work` has. */
export const isClaimed: Check = (value) =>
  value === undefined || (isRecord(value) && Array.isArray(value.tasks) && value.tasks.every(isWork));

function isWork(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value.task) || !isRecord(value.lease)) return false;
  const { id, prompt, context_hints, policy } = value.task;
  const texts = [id, prompt, value.lease.id].every((text) => typeof text === "string");
  return (
    texts &&
    Array.isArray(context_hints) &&
    isRecord(policy) &&
    [policy.timeout_sec, value.lease.ttl_seconds].every(isDuration)
  );
}
const isDuration = (value: unknown) => typeof value === "number" && value > 0;

/** How long a result is sent again: by then the runtime may be back, or there may be a new key. */
const OFFERED_FOR_MS = 3_600_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** The pause after a refused key. Each refusal counts, and too many lock out every worker at this address. */
export const REFUSED_PAUSE_MS = 30_000;

/** The typed client, as a worker uses it: with a deadline for each call, and patience for what must arrive. */
export interface RuntimeClient {
  /**
   * Makes the call once, within that time. Never rejects. A call that `signal` ended counts as not answered. So does an answer of which `isUsable`
   * is false, since something in front of the runtime may have made it.
   */
  ask<Value>(call: Call<Value>, withinMs: number, signal?: AbortSignal, isUsable?: Check): Promise<Answer<Value>>;
  /**
   * Makes the call again, with longer and longer pauses, until the runtime has accepted or refused it for good. A refused key is not for good, since
   * a new key may come. `onMiss` is told of each attempt after which there will be another. Throws when an hour has passed, or `signal` is aborted.
   */
  insist<Value>(
    call: Call<Value>,
    withinMs: number,
    signal?: AbortSignal,
    isUsable?: Check,
    onMiss?: (status: number, error: string) => void,
  ): Promise<Answer<Value>>;
  /** Reads the key again after a 401. True when there is a new one. */
  renewKey(): Promise<boolean>;
}

/** How many milliseconds to wait after this number of failures in a row, with a random part. */
export function pauseMs(failures: number, longestMs = LONGEST_PAUSE_MS): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** failures, longestMs) * (0.5 + Math.random() / 2);
}

/** The first `size` bytes of a file, as an upload sends them. */
export function fileBytes(path: string, size: number): Bytes {
  return size > 0 ? { stream: Readable.toWeb(createReadStream(path, { end: size - 1 })), size } : "";
}

/** Makes the client that calls the runtime at `server`, with the key if there is one. */
export function createRuntimeClient(server: string, apiKey: ApiKey): RuntimeClient {
  // Undici's own limits would end an upload after 300 s. Every call has a limit of its own.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const client = createClient({
    url: server,
    key: apiKey.current,
    fetch: (url, request) => fetch(url, { ...request, dispatcher }),
  });

  async function ask<Value>(
    call: Call<Value>,
    withinMs: number,
    signal?: AbortSignal,
    isUsable?: Check,
  ): Promise<Answer<Value>> {
    const late = () => new Error(`no answer within ${withinMs} ms`);
    try {
      const value = await withDeadline(withinMs, late, signal, (ended) => call(client, ended));
      return isUsable && !isUsable(value)
        ? { ok: false, status: 0, error: "the answer is not what was asked for" }
        : { ok: true, value };
    } catch (error) {
      if (!(error instanceof Refused)) return { ok: false, status: 0, error: messageOf(error) };
      const { status, message, retryAfterSeconds } = error;
      return { ok: false, status, error: message, retryAfterSeconds };
    }
  }

  return {
    ask,
    async insist(call, withinMs, signal, isUsable, onMiss) {
      const giveUpAt = performance.now() + OFFERED_FOR_MS;
      for (let failures = 0; ; failures++) {
        signal?.throwIfAborted();
        const answer = await ask(call, withinMs, signal, isUsable);
        if (answer.ok || isForGood(answer.status)) return answer;
        if (performance.now() > giveUpAt)
          throw new Error(`given up after an hour; the last answer: ${answer.status || ""} ${answer.error}`);
        onMiss?.(answer.status, answer.error);
        const isKeyRefused = answer.status === 401;
        if (isKeyRefused && (await apiKey.renew())) continue;
        await delay(isKeyRefused ? REFUSED_PAUSE_MS : pauseMs(failures), undefined, signal && { signal });
      }
    },
    renewKey: apiKey.renew,
  };
}

/** True for the status of a refusal that will not pass. */
function isForGood(status: number): boolean {
  return status >= 400 && status < 500 && ![401, 408, 429].includes(status);
}
