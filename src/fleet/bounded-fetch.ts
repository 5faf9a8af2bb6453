import { fetch, type Response } from "undici";
import { joinSignals } from "../abort-signals.ts";
import { excessIn, type JsonBounds } from "../bounded-json.ts";
import { isHttpUrl } from "../callable-addresses.ts";
import { type Target, timeCall } from "../metrics/common-meters.ts";
import { type AnswerPlace, FINISHED_WITHIN_MS, SHORT_ANSWER_BYTES } from "./answer-place.ts";
import { type Outbound, OutboundRefused } from "./outbound.ts";

/** An HTTP call without a usable answer. `sent` is false when the request certainly did not reach the server. */
export class NetworkFault extends Error {
  readonly sent: boolean;
  constructor(message: string, sent: boolean, options?: ErrorOptions) {
    super(message, options);
    this.sent = sent;
  }
}

/** The server answered with a redirect: it has not done what it was asked, and no other server was asked. */
export class RedirectFault extends NetworkFault {}

export interface FetchOptions {
  /** What is called, for the metrics. */
  target?: Target;
  method: "GET" | "POST";
  headers: Headers;
  body?: string;
  timeoutMs: number;
  /** The longest answer that is read, in bytes after decompression; "unread": the body of an answer does not matter, and is empty. */
  maxBytes: number | "unread";
  /** An answer of more than 100 KB takes a place here before the rest is read; it must then end within 60 s. The caller leaves the place. */
  place?: AnswerPlace | undefined;
  /** Aborted when the caller does not want the answer any more. */
  signal?: AbortSignal | undefined;
}

/** An answer that is no redirect. */
export interface FetchAnswer {
  status: number;
  headers: Pick<Headers, "get">;
  body: Uint8Array;
}

const tooSlow = () => new Error(`its long answer did not end within ${FINISHED_WITHIN_MS / 1_000} s`);
/** First size of the buffer, which is enough for most answers. */
const FIRST_BYTES = 16 * 1024;

const NEVER_CONNECTED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/**
 * Calls `url` and reads the whole answer, within `timeoutMs` and `maxBytes`. A redirect is never followed: the headers may carry a key.
 * Throws a NetworkFault when there is no answer, or the answer is a redirect or too long; the reason of `signal` when that was aborted.
 */
export async function boundedFetch(outbound: Outbound, url: string, options: FetchOptions): Promise<FetchAnswer> {
  const { target } = options;
  const end = target && timeCall(outbound.meters, target);
  try {
    const answer = await fetchWhole(outbound, url, options);
    end?.(answer.status < 500 ? "success" : "error");
    return answer;
  } catch (error) {
    if (error instanceof NetworkFault) end?.("error");
    throw error;
  }
}

async function fetchWhole(
  outbound: Outbound,
  url: string,
  { method, headers, body, timeoutMs, maxBytes, place, signal }: FetchOptions,
): Promise<FetchAnswer> {
  // An adopted database may hold any address. The error of fetch would quote it, with the password that may be in it.
  if (!isHttpUrl(url)) throw new NetworkFault("its address must not be called", false);
  const slow = new AbortController();
  const limit = joinSignals([slow.signal, ...(signal ? [signal] : [])], timeoutMs);
  let finishTimer: NodeJS.Timeout | undefined;
  const takePlace = async () => {
    await place?.take(limit.signal);
    if (place) finishTimer = setTimeout(() => slow.abort(tooSlow()), FINISHED_WITHIN_MS);
  };
  try {
    const response = await fetch(url, {
      method,
      headers: [...headers],
      redirect: "manual",
      signal: limit.signal,
      dispatcher: outbound,
      ...(body !== undefined && { body }),
    });
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel();
      throw new RedirectFault(`it answered with a redirect (${response.status}), which is not followed`, true);
    }
    return { status: response.status, headers: response.headers, body: await readBytes(response, maxBytes, takePlace) };
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof NetworkFault) throw error;
    throw new NetworkFault(...describe(error, timeoutMs), { cause: error });
  } finally {
    clearTimeout(finishTimer);
    limit.forget();
  }
}

/** Reads the body into one buffer that grows: a list of pieces would take far more memory than its bytes where a server sends them one by one. */
async function readBytes(
  response: Response,
  maxBytes: FetchOptions["maxBytes"],
  takePlace: () => Promise<void>,
): Promise<Uint8Array> {
  if (maxBytes === "unread") {
    await response.body?.cancel();
    return new Uint8Array();
  }
  let held = Buffer.allocUnsafe(FIRST_BYTES);
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    if (bytes + chunk.byteLength > maxBytes)
      throw new NetworkFault(`its answer is longer than ${maxBytes} bytes`, true);
    if (bytes <= SHORT_ANSWER_BYTES && bytes + chunk.byteLength > SHORT_ANSWER_BYTES) await takePlace();
    if (bytes + chunk.byteLength > held.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * held.length, bytes + chunk.byteLength));
      held.copy(larger, 0, 0, bytes);
      held = larger;
    }
    held.set(chunk, bytes);
    bytes += chunk.byteLength;
  }
  return held.subarray(0, bytes);
}

/**
 * Reads an answer as JSON; undefined when it is none. Throws a NetworkFault where parsing it would take too long: `most` bounds its keys and
 * values.
 */
export function jsonIn(body: Uint8Array, most?: JsonBounds): unknown {
  const excess = excessIn(body, most);
  if (excess !== undefined) throw new NetworkFault(`its answer ${excess}`, true);
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

/** The sentence for a failed call, and whether the request may have reached the server. */
function describe(error: unknown, timeoutMs: number): [message: string, sent: boolean] {
  if (error instanceof Error && error.name === "TimeoutError") return [`no answer within ${timeoutMs / 1_000} s`, true];
  // The error of fetch says "fetch failed", and its cause says why.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  // A TypeError is about the arguments, and quotes them.
  const reason =
    cause instanceof TypeError
      ? "it cannot be called"
      : (cause instanceof Error && cause.message) || code || String(cause);
  // fetch itself refuses some ports.
  const isRefused = cause instanceof OutboundRefused || reason === "bad port";
  return [reason, !(NEVER_CONNECTED.has(code) || isRefused)];
}
