/** Clients that call the service over HTTP, and how long it took to answer them. */
import { Client } from "undici";

export interface Timing {
  calls: number;
  /** Milliseconds. */
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** What a load did: iterations a second of all clients, and the times of each call by its name. */
export interface LoadResult {
  perSecond: number;
  /** Iterations, those of the warm-up included. */
  everDone: number;
  timings: Record<string, Timing>;
}

export interface Caller {
  /** Calls, takes down the time under `name`, and gives the answer. Throws where the status is none of `statuses`. */
  call(name: string, method: "GET" | "POST", path: string, body?: unknown, statuses?: number[]): Promise<unknown>;
}

/** One client's work; `n` counts its iterations over all clients. Gives how many of what is counted it has done. */
export type Work = (caller: Caller, client: number, n: number) => Promise<number>;

const OK = [200, 201, 204];

/** One connection to the service. `times` gets what each call took. */
export function connect(
  url: string,
  apiKey: string,
  times: Map<string, number[]>,
): Caller & { close(): Promise<void> } {
  const client = new Client(url, { pipelining: 1 });
  const headers = { "content-type": "application/json", "x-runtime-api-key": apiKey };
  return {
    async call(name, method, path, body, statuses = OK) {
      const started = performance.now();
      const answer = await client.request({
        method,
        path,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      const took = performance.now() - started;
      if (!statuses.includes(answer.statusCode)) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
      const list = times.get(name);
      if (list) list.push(took);
      else times.set(name, [took]);
      return text === "" ? undefined : JSON.parse(text);
    },
    close: () => client.close(),
  };
}

/** Runs `works`, one client each, over and over for `seconds`, after a warm-up that does not count. */
export async function load(url: string, apiKey: string, works: Work[], seconds: number): Promise<LoadResult> {
  const { everDone } = await run(url, apiKey, works, seconds / 4);
  const result = await run(url, apiKey, works, seconds);
  return { ...result, everDone: everDone + result.everDone };
}

async function run(url: string, apiKey: string, works: Work[], seconds: number): Promise<LoadResult> {
  const times = new Map<string, number[]>();
  const started = performance.now();
  const end = started + seconds * 1_000;
  let iterations = 0;
  let n = 0;
  await Promise.all(
    works.map(async (work, client) => {
      const caller = connect(url, apiKey, times);
      while (performance.now() < end) {
        const done = await work(caller, client, n++);
        iterations += done;
      }
      await caller.close();
    }),
  );
  const perSecond = iterations / ((performance.now() - started) / 1_000);
  return {
    perSecond,
    everDone: iterations,
    timings: Object.fromEntries([...times].map(([name, list]) => [name, timingOf(list)])),
  };
}

export function timingOf(times: number[]): Timing {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { calls: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
