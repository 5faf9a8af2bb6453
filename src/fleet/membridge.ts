import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
  retry,
} from "cockatiel";
import type { MembridgeAddress, Settings } from "../settings/settings.ts";
import { boundedFetch, NetworkFault } from "./bounded-fetch.ts";
import type { Outbound } from "./outbound.ts";

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 5 * 1024 * 1024;
const FIRST_BACKOFF_MS = 500;
const BACKOFF_JITTER = 0.3;
export const DEFAULT_RETRIES = 3;
/** After so many failed calls in a row nobody waits for Membridge any more; then one call at a time finds out whether it is back. */
const FAILURES = 5;
const REST_MS = 10_000;

/** Membridge gave no answer that can be used: not reachable, too slow, a redirect, or no JSON. `message` is a sentence for the client. */
export class MembridgeUnreachable extends Error {}

/** An HTTP answer of Membridge. `json` is undefined when the status says that it failed and the body is no JSON. */
export interface MembridgeAnswer {
  status: number;
  json: unknown;
}

export interface MembridgeCall {
  method?: "GET" | "POST";
  /** Sent as JSON. */
  body?: unknown;
  /** How often a 5xx or a network fault is tried again, a POST only while it cannot have reached Membridge. */
  retries?: number;
  /** Asks even while the circuit is open. A success closes it. */
  insist?: boolean;
  /** Ends the call when nobody wants its answer any more; that is no failure of Membridge. */
  signal?: AbortSignal;
}

/** How the calls of this process went, for the health answer. Times in epoch milliseconds. */
export interface MembridgeState {
  consecutiveFailures: number;
  lastSuccess: number | null;
  lastError: string | null;
  connected: boolean;
  circuit: "closed" | "open" | "half-open";
}

export interface Membridge {
  /** Calls the path of these segments, each of which is encoded. Throws MembridgeUnreachable, or the reason of an aborted `signal`. */
  call(segments: string[], options?: MembridgeCall): Promise<MembridgeAnswer>;
  state(): MembridgeState;
}

/** The client of the Membridge control plane. Address and admin key come from the settings at every call. `restMs` is for tests. */
export function createMembridge(settings: Settings, outbound: Outbound, { restMs = REST_MS } = {}): Membridge {
  const state = { consecutiveFailures: 0, lastSuccess: null as number | null, lastError: null as string | null };
  let connected = false;
  let circuit = newCircuit(restMs);
  let circuitOf: MembridgeAddress | undefined;

  async function attempt({ url, adminKey }: MembridgeAddress, segments: string[], options: MembridgeCall) {
    const { method = "GET", body, signal } = options;
    const { status, text } = await boundedFetch(outbound, addressOf(url, segments), {
      method,
      headers: headersOf(adminKey, body !== undefined),
      ...(body !== undefined && { body: JSON.stringify(body) }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
      signal,
    });
    const json = parseJson(text, adminKey);
    if (status >= 500) throw new ServerFault({ status, json });
    if (status < 400 && json === undefined) throw new PermanentFault("its answer is not JSON");
    return { status, json };
  }

  async function throughCircuit(segments: string[], options: MembridgeCall): Promise<MembridgeAnswer> {
    const address = await settings.membridgeAddress();
    // What was learned of another address says nothing about this one.
    if (circuitOf?.url !== address.url || circuitOf.adminKey !== address.adminKey) circuit = newCircuit(restMs);
    circuitOf = address;
    if (options.insist) {
      const answer = await retrying(options).execute(() => attempt(address, segments, options));
      if (circuit.state !== CircuitState.Closed) circuit = newCircuit(restMs);
      return answer;
    }
    return circuit.execute(() => {
      if (circuit.state === CircuitState.Closed)
        return retrying(options).execute(() => attempt(address, segments, options));
      // The call that finds out whether it is back is made once, and to its end.
      const { signal: _, ...probe } = options;
      return attempt(address, segments, probe);
    });
  }

  return {
    async call(segments, options = {}) {
      try {
        const answer = await throughCircuit(segments, options);
        Object.assign(state, { consecutiveFailures: 0, lastSuccess: Date.now() });
        connected = true;
        await settings.recordConnection(true);
        return answer;
      } catch (error) {
        if (error instanceof BrokenCircuitError)
          throw new MembridgeUnreachable(
            `Membridge could not be reached: it failed ${FAILURES} times in a row, and is asked again after ${restMs / 1_000} s`,
          );
        if (!isFault(error)) throw error;
        state.consecutiveFailures += 1;
        state.lastError = error.message;
        connected = false;
        await settings.recordConnection(false);
        if (error instanceof ServerFault) return error.answer;
        throw new MembridgeUnreachable(`Membridge could not be reached: ${error.message}`, { cause: error });
      }
    },
    state: () => ({ ...state, connected, circuit: CIRCUITS[circuit.state] }),
  };
}

const CIRCUITS = {
  [CircuitState.Closed]: "closed",
  [CircuitState.Open]: "open",
  [CircuitState.Isolated]: "open",
  [CircuitState.HalfOpen]: "half-open",
} as const;

function newCircuit(restMs: number) {
  return circuitBreaker(handleWhen(isFault), { halfOpenAfter: restMs, breaker: new ConsecutiveBreaker(FAILURES) });
}

/** An answer with a 5xx status: tried again, and at last given to the caller. */
class ServerFault extends Error {
  readonly answer: MembridgeAnswer;
  constructor(answer: MembridgeAnswer) {
    super(`Membridge returned ${answer.status}`);
    this.answer = answer;
  }
}

/** What another try would meet again. */
class PermanentFault extends Error {}

function isFault(error: unknown): error is NetworkFault | ServerFault | PermanentFault {
  return error instanceof NetworkFault || error instanceof ServerFault || error instanceof PermanentFault;
}

function retrying({ method = "GET", retries = DEFAULT_RETRIES }: MembridgeCall) {
  const repeatable = (error: Error) =>
    method === "GET"
      ? error instanceof ServerFault || error instanceof NetworkFault
      : error instanceof NetworkFault && !error.sent;
  const backoff = new DelegateBackoff(
    ({ attempt }: { attempt: number }) => FIRST_BACKOFF_MS * 2 ** (attempt - 1) * (1 + Math.random() * BACKOFF_JITTER),
  );
  return retry(handleWhen(repeatable), { maxAttempts: retries, backoff });
}

/** `base` may have a path and end in "/"; "." and ".." as a segment are refused before, since no encoding keeps them from being resolved. */
function addressOf(base: string, segments: string[]): string {
  return [base.replace(/\/+$/, ""), ...segments.map(encodeURIComponent)].join("/");
}

function headersOf(adminKey: string, hasBody: boolean): Headers {
  const headers = new Headers({ accept: "application/json", ...(hasBody && { "content-type": "application/json" }) });
  try {
    if (adminKey) headers.set("x-membridge-admin", adminKey);
  } catch {
    // The error's own text quotes the key. An adopted database may hold any.
    throw new PermanentFault(
      "the saved admin key has characters that no header can carry; save the configuration again",
    );
  }
  return headers;
}

/** What Membridge says must not carry the key back to a client, however it is escaped (lifecycle.md, invariant 14). Undefined: no JSON. */
function parseJson(text: string, adminKey: string): unknown {
  const hide = (said: string) => (adminKey ? said.replaceAll(adminKey, "****") : said);
  try {
    return JSON.parse(text, (_name, value: unknown) => {
      if (typeof value === "string") return hide(value);
      if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [hide(name), inner]));
    });
  } catch {
    // The caller decides by the status whether that is a fault.
    return undefined;
  }
}
