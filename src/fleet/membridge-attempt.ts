import { isHttpUrl } from "../callable-addresses.ts";
import type { MembridgeAddress } from "../saved-config/membridge-config.ts";
import { boundedFetch, jsonIn, NetworkFault } from "./bounded-fetch.ts";
import type { Outbound } from "./outbound.ts";

const MAX_ANSWER_BYTES = 5 * 1024 * 1024;
/** A list of 10,000 agents needs this many. 5 MB of distinct keys took 2.3 s, and 100,000 of them take 0.3 s. */
const MOST = { keys: 100_000, values: 100_000 };

/** An HTTP answer of Membridge. `json` is undefined for a failure whose body is no JSON. */
export interface MembridgeAnswer {
  status: number;
  json: unknown;
}

export interface Attempt {
  method?: "GET" | "POST";
  /** Sent as JSON. */
  body?: unknown;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** An answer with a 5xx status. The call is tried again, and the last such answer is given to the caller. */
export class ServerFault extends Error {
  readonly answer: MembridgeAnswer;
  constructor(answer: MembridgeAnswer) {
    super(`Membridge returned ${answer.status}`);
    this.answer = answer;
  }
}

/** A fault that another try would meet again. `message` is shown to clients. */
export class PermanentFault extends Error {}

/** True for a fault of Membridge; false for a fault of ours, and for a caller that has gone away. */
export function isFault(error: unknown): error is NetworkFault | ServerFault | PermanentFault {
  return error instanceof NetworkFault || error instanceof ServerFault || error instanceof PermanentFault;
}

/** Makes one HTTP call of Membridge. Throws a fault that `isFault` knows, or the reason of an aborted `signal`. */
export async function attempt(
  outbound: Outbound,
  { url, adminKey }: MembridgeAddress,
  segments: string[],
  { method = "GET", body, timeoutMs, signal }: Attempt,
): Promise<MembridgeAnswer> {
  // An adopted database may hold any address. The message does not quote it, since there may be a password in it.
  if (!isHttpUrl(url)) throw new PermanentFault("the saved address must not be called; save the configuration again");
  const answer = await boundedFetch(outbound, addressOf(url, segments), {
    target: "membridge",
    method,
    headers: headersOf(adminKey, body !== undefined),
    ...(body !== undefined && { body: JSON.stringify(body) }),
    timeoutMs,
    maxBytes: MAX_ANSWER_BYTES,
    signal,
  });
  const { status } = answer;
  const json = hideIn(parse(answer.body), adminKey);
  if (status >= 500) throw new ServerFault({ status, json });
  if (status < 400 && json === undefined) throw new PermanentFault("its answer is not JSON");
  return { status, json };
}

/**
 * Adds encoded segments to `base`, which may have a path and end in "/". The segments "." and ".." were refused before: no encoding
 * protects them.
 */
function addressOf(base: string, segments: string[]): string {
  return [base.replace(/\/+$/, ""), ...segments.map(encodeURIComponent)].join("/");
}

function headersOf(adminKey: string, hasBody: boolean): Headers {
  const headers = new Headers({ accept: "application/json", ...(hasBody && { "content-type": "application/json" }) });
  try {
    if (adminKey) headers.set("x-membridge-admin", adminKey);
  } catch {
    // The error itself quotes the key, which may be any text in an adopted database.
    throw new PermanentFault(
      "the saved admin key has characters that no header can carry; save the configuration again",
    );
  }
  return headers;
}

function parse(body: Uint8Array): unknown {
  try {
    return jsonIn(body, MOST);
  } catch (error) {
    // Another try would get the same answer.
    throw error instanceof NetworkFault ? new PermanentFault(error.message) : error;
  }
}

/** The JSON value without the admin key, however that is escaped in the answer (lifecycle.md, invariant 14). */
function hideIn(value: unknown, adminKey: string): unknown {
  if (adminKey === "") return value;
  const hide = (text: string) => text.replaceAll(adminKey, "****");
  if (typeof value === "string") return hide(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => hideIn(each, adminKey));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [hide(name), hideIn(inner, adminKey)]));
}
