/** Clients that call the service over HTTP, and how long it took to answer them. */
import { createConnection } from "node:net";

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
  /**
   * Calls, takes down the time under `name`, and gives the answer's text, which nobody parses who does not need it. Throws where the status is
   * none of `statuses`.
   */
  call(name: string, method: "GET" | "POST", path: string, body?: unknown, statuses?: number[]): Promise<string>;
}

/** One client's work; `n` counts its iterations over all clients. Gives how many of what is counted it has done. */
export type Work = (caller: Caller, client: number, n: number) => Promise<number>;

/** The key of the services that are measured. */
export const API_KEY = "a-key-for-the-benchmark";
const OK = [200, 201, 204];

/**
 * One connection to the service. `times` gets what each call took. A client of our own on a bare socket: the clients share two cores with what they
 * measure, and undici's took twice as much of them. It knows no more of HTTP than the service's answers need.
 */
export function connect(
  url: string,
  apiKey: string,
  times: Map<string, number[]>,
): Caller & { close(): Promise<void> } {
  const { hostname, port, host } = new URL(url);
  const socket = createConnection(Number(port), hostname).setNoDelay();
  const start = `HTTP/1.1\r\nhost: ${host}\r\nx-runtime-api-key: ${apiKey}\r\ncontent-type: application/json\r\ncontent-length: `;
  let pieces: Buffer[] = [];
  let head: Head | undefined;
  let waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  socket.on("data", (piece: Buffer) => {
    pieces.push(piece);
    if (!head) {
      const bytes = Buffer.concat(pieces);
      head = headOf(bytes);
      if (!head) return;
      pieces = [bytes.subarray(head.size)];
    }
    if (!isWhole(head, pieces)) return;
    const answer = { status: head.status, text: textOf(head, Buffer.concat(pieces)) };
    pieces = [];
    head = undefined;
    waiting?.resolve(answer);
  });
  let isOpen = true;
  // An error closes it too.
  socket.on("error", () => {});
  socket.on("close", () => {
    isOpen = false;
    waiting?.reject(closed());
  });
  return {
    async call(name, method, path, body, statuses = OK) {
      const sent = body === undefined ? "" : JSON.stringify(body);
      const started = performance.now();
      const { status, text } = await new Promise<Answer>((resolve, reject) => {
        if (!isOpen) return reject(closed());
        waiting = { resolve, reject };
        socket.write(`${method} ${path} ${start}${Buffer.byteLength(sent)}\r\n\r\n${sent}`);
      });
      const took = performance.now() - started;
      if (!statuses.includes(status)) throw new Error(`${method} ${path}: ${status} ${text}`);
      const list = times.get(name);
      if (list) list.push(took);
      else times.set(name, [took]);
      return text;
    },
    close: async () => {
      waiting = undefined;
      socket.destroy();
    },
  };
}

const closed = () => new Error("The service closed the connection.");

interface Answer {
  status: number;
  text: string;
}

interface Head {
  status: number;
  /** Of itself, in bytes. */
  size: number;
  /** Of the body; undefined: in chunks. */
  length: number | undefined;
}

function headOf(bytes: Buffer): Head | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = bytes.toString("latin1", 0, end);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  const isChunked = /\r\ntransfer-encoding: chunked/i.test(head);
  return { status: Number(head.slice(9, 12)), size: end + 4, length: isChunked ? undefined : Number(length ?? 0) };
}

function isWhole({ length }: Head, pieces: Buffer[]): boolean {
  const last = pieces.at(-1) ?? EMPTY;
  if (length === undefined)
    return (last.length < LAST_CHUNK.length ? Buffer.concat(pieces) : last)
      .subarray(-LAST_CHUNK.length)
      .equals(LAST_CHUNK);
  return pieces.reduce((sum, piece) => sum + piece.length, 0) >= length;
}

function textOf({ length }: Head, body: Buffer): string {
  return length === undefined ? unchunked(body) : body.toString();
}

const EMPTY = Buffer.alloc(0);
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

function unchunked(body: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.toString("latin1", at, lineEnd), 16);
    if (size === 0) return Buffer.concat(pieces).toString();
    pieces.push(body.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

/** Runs `works`, one client each, over and over for `seconds`, after a warm-up of half of that, in which code is compiled, that does not count. */
export async function load(url: string, apiKey: string, works: Work[], seconds: number): Promise<LoadResult> {
  const { everDone } = await run(url, apiKey, works, seconds / 2);
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
      try {
        while (performance.now() < end) {
          const done = await work(caller, client, n++);
          iterations += done;
        }
      } finally {
        await caller.close();
      }
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
