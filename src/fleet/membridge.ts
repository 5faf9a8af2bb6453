import { setTimeout as delay } from "node:timers/promises";
import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
  retry,
} from "cockatiel";
import type { Logger } from "pino";
import { watchCircuit } from "../metrics/common-meters.ts";
import type { MembridgeAddress, MembridgeConfig } from "../saved-config/membridge-config.ts";
import { NetworkFault } from "./bounded-fetch.ts";
import { attempt, isFault, type MembridgeAnswer, ServerFault } from "./membridge-attempt.ts";
import type { Outbound } from "./outbound.ts";

const TIMEOUT_MS = 10_000;
const FIRST_BACKOFF_MS = 500;
const BACKOFF_JITTER = 0.3;
const DEFAULT_RETRIES = 3;
/** After this number of failed calls in a row, calls fail at once. After a pause, one probe at a time finds out whether Membridge is back. */
const FAILURES = 5;
const PAUSE_MS = 10_000;
const PROBE_WITHIN_MS = 2_000;
/** How long the caller that starts a probe waits for it: longer than a Membridge that is back needs to answer. */
const PATIENCE_MS = 200;

/**
 * Membridge gave no usable answer: it was not reachable or too slow, or answered with a redirect or no JSON. `message` is a sentence for
 * the client.
 */
export class MembridgeUnreachable extends Error {}

export interface MembridgeCall {
  method?: "GET" | "POST";
  /** Sent as JSON. */
  body?: unknown;
  /** How often to try again after a 5xx or a network fault; a POST only while it cannot have reached Membridge. */
  retries?: number;
  /** Call even while the circuit is open. A success closes it. */
  insist?: boolean;
  /** Aborted when nobody wants the answer any more, which is no failure of Membridge. */
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
  /** Why Membridge does not take the admin key, in a sentence for clients; undefined as long as it has not refused it. */
  keyFault(): string | undefined;
}

/**
 * The client of the Membridge control plane. Address and admin key come from the saved configuration at every call. `log` is told when Membridge
 * begins to refuse the key, and when it takes it again. `pauseMs` is for tests.
 */
export function createMembridge(
  membridgeConfig: MembridgeConfig,
  outbound: Outbound,
  { pauseMs = PAUSE_MS, log }: { pauseMs?: number; log?: Logger } = {},
): Membridge {
  const state = { consecutiveFailures: 0, lastSuccess: null as number | null, lastError: null as string | null };
  let connected = false;
  let circuit = newCircuit(pauseMs);
  let circuitOf: MembridgeAddress | undefined;
  /** Why Membridge does not take the admin key. */
  let keyFault: string | undefined;

  async function currentAddress(): Promise<MembridgeAddress> {
    const address = await membridgeConfig.address();
    // What is known of another address says nothing about this one.
    if (circuitOf?.url !== address.url || circuitOf.adminKey !== address.adminKey) {
      circuit = newCircuit(pauseMs);
      keyFault = undefined;
    }
    circuitOf = address;
    return address;
  }

  function learnOfKey({ adminKey }: MembridgeAddress, segments: string[], { status }: MembridgeAnswer): void {
    const before = keyFault;
    if (isKeyRefusal(segments, status)) keyFault = keyRefused(adminKey, status);
    else if (status < 400) keyFault = undefined;
    if (keyFault !== undefined && before === undefined) log?.warn({ status }, keyFault);
    if (keyFault === undefined && before !== undefined) log?.info("Membridge takes the admin key again");
  }

  /** Waits for a call and records how it went. An answer with a 5xx status counts as a failure, and is given to the caller all the same. */
  async function recordCall(
    address: MembridgeAddress,
    segments: string[],
    calling: Promise<MembridgeAnswer>,
  ): Promise<MembridgeAnswer> {
    try {
      const answer = await calling;
      if (needsKey(segments)) learnOfKey(address, segments, answer);
      connected = keyFault === undefined;
      state.consecutiveFailures = 0;
      if (keyFault === undefined) state.lastSuccess = Date.now();
      else state.lastError = keyFault;
      const isKeyed = needsKey(segments) || keyFault !== undefined;
      await membridgeConfig.recordConnection({ connected, reason: keyFault ?? null, isKeyed });
      return answer;
    } catch (error) {
      if (error instanceof BrokenCircuitError) throw stillPaused(pauseMs);
      if (!isFault(error)) throw error;
      state.consecutiveFailures += 1;
      state.lastError = error.message;
      connected = false;
      const reason = `Membridge could not be reached: ${error.message}`;
      await membridgeConfig.recordConnection({ connected, reason, isKeyed: false });
      if (error instanceof ServerFault) return error.answer;
      throw new MembridgeUnreachable(reason, { cause: error });
    }
  }

  /**
   * Asks Membridge's health after the pause, to find out whether it is back. The caller's own call does not serve as the probe, since it may be a
   * POST that is done after the caller was told that it failed. MembridgeUnreachable: it is not back, or does not answer soon.
   */
  async function probe(address: MembridgeAddress): Promise<void> {
    // Without this, every caller would wait for the probe that runs now.
    if (circuit.state === CircuitState.HalfOpen) throw stillPaused(pauseMs);
    const ask = () => attempt(outbound, address, ["health"], { timeoutMs: PROBE_WITHIN_MS });
    const probing = recordCall(address, ["health"], circuit.execute(ask)).then(
      () => {},
      () => {},
    );
    await Promise.race([probing, delay(PATIENCE_MS, undefined, { ref: false })]);
    if (circuit.state !== CircuitState.Closed) throw stillPaused(pauseMs);
  }

  if (outbound.meters) watchCircuit(outbound.meters, "membridge", () => circuit.state !== CircuitState.Closed);
  return {
    async call(segments, options = {}) {
      const address = await currentAddress();
      const { insist = false } = options;
      if (!insist && circuit.state !== CircuitState.Closed) await probe(address);
      const trying = () =>
        retrying(options).execute(() => attempt(outbound, address, segments, { ...options, timeoutMs: TIMEOUT_MS }));
      const answer = await recordCall(address, segments, insist ? trying() : circuit.execute(trying));
      if (insist && answer.status < 500 && circuit.state !== CircuitState.Closed) circuit = newCircuit(pauseMs);
      return answer;
    },
    keyFault: () => keyFault,
    state: () => ({ ...state, connected, circuit: CIRCUITS[circuit.state] }),
  };
}

const CIRCUITS = {
  [CircuitState.Closed]: "closed",
  [CircuitState.Open]: "open",
  [CircuitState.Isolated]: "open",
  [CircuitState.HalfOpen]: "half-open",
} as const;

/** All calls of Membridge but its health need the key. */
const needsKey = ([first]: string[]) => first !== "health";

/** True when the answer refuses the admin key. A 403 for a single project may be about that project instead. */
function isKeyRefusal(segments: string[], status: number): boolean {
  return status === 401 || (status === 403 && segments.length === 1);
}

function keyRefused(adminKey: string, status: number): string {
  const what = adminKey === "" ? "wants an admin key, and none is set" : "refuses the admin key";
  return `Membridge ${what} (${status}); save the right one with POST /api/runtime/config`;
}

function newCircuit(pauseMs: number) {
  return circuitBreaker(handleWhen(isFault), { halfOpenAfter: pauseMs, breaker: new ConsecutiveBreaker(FAILURES) });
}

function stillPaused(pauseMs: number): MembridgeUnreachable {
  return new MembridgeUnreachable(
    `Membridge could not be reached: it failed ${FAILURES} times in a row, and is asked again after ${pauseMs / 1_000} s`,
  );
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
