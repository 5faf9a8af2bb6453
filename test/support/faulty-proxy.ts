/** An HTTP proxy in front of the service, for what happens to single calls on the way: refused, cut off, answered late or never. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";

export interface Passed {
  status: number;
  /** Those by which the runtime's own answers are known, and their fields. */
  headers: Record<string, string>;
  body: Buffer;
}

/** What becomes of a call. `forward` makes it at the service. */
export type Fault = (response: ServerResponse, forward: () => Promise<Passed>) => void | Promise<void>;

export interface FaultyProxy {
  url: string;
  /** The paths that were called, each with its method, oldest first. */
  calls: string[];
  /** The next `times` calls whose path matches go to `fault` in place of the service. */
  on(path: RegExp, fault: Fault, times?: number): void;
  /** Forgets the faults that were not met, and the calls. */
  reset(): void;
  close(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1 in front of the service whose address `target` gives. */
export async function startFaultyProxy(target: () => string): Promise<FaultyProxy> {
  const calls: string[] = [];
  let faults: { path: RegExp; fault: Fault; times: number }[] = [];
  const server = createServer(async (request, response) => {
    const { method = "GET", url: path = "/" } = request;
    calls.push(`${method} ${path}`);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const {
      host: _host,
      connection: _connection,
      expect: _expect,
      "content-length": _length,
      ...headers
    } = request.headers;
    try {
      const body = await buffer(request);
      const reach = () =>
        fetch(target() + path, {
          method,
          headers: headers as Record<string, string>,
          ...(body.length > 0 && { body: new Uint8Array(body) }),
          signal: gone.signal,
        });
      const forward = async () => {
        const answer = await reach();
        return {
          status: answer.status,
          headers: keptOf(answer),
          body: Buffer.from(await answer.arrayBuffer()),
        };
      };
      const found = faults.find((one) => one.path.test(path));
      if (found && --found.times === 0) faults = faults.filter((one) => one !== found);
      if (found) await found.fault(response, forward);
      else await passOn(await reach(), response);
    } catch {
      // The service is away, or the worker is: either sees a connection that ends.
      response.destroy();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    on: (path, fault, times = 1) => void faults.push({ path, fault, times }),
    reset: () => {
      faults = [];
      calls.length = 0;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const keptOf = ({ headers }: Response) =>
  Object.fromEntries([...headers].filter(([name]) => /^(x-bloom-|content-type$)/.test(name)));

/** As if there were no proxy: a stream of events arrives as it comes. */
async function passOn(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, keptOf(answer)).flushHeaders();
  if (answer.body) await pipeline(Readable.fromWeb(answer.body), response);
  else response.end();
}

/** Hands the service's answer on when it is whole. */
export const pass: Fault = async (response, forward) => {
  const { status, headers, body } = await forward();
  response.writeHead(status, headers).end(body);
};

/** Answers as the service would; it hears nothing. */
export const refuse =
  (status: number): Fault =>
  (response) =>
    void response
      .writeHead(status, { "content-type": "application/json", "x-bloom-runtime": "1" })
      .end(`{"error":"The service says ${status}."}`);

/** Answers as a proxy does whose service is being exchanged. */
export const answerAsStranger =
  (status: number): Fault =>
  (response) =>
    void response.writeHead(status, { "content-type": "text/plain" }).end(`${status} page not found`);

/** Never answers. */
export const hang: Fault = () => {};

/** The service does what it is asked, and half of its answer arrives. */
export const cutOff: Fault = async (response, forward) => {
  const { status, headers, body } = await forward();
  response.writeHead(status, { ...headers, "content-length": body.length });
  response.write(body.subarray(0, body.length / 2), () => response.destroy());
};
