/** An HTTP proxy in front of an object store, for the faults that the store itself reports. */
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

export interface S3Trouble {
  port: number;
  /** From now on uploads, or those of the keys that are named, are answered with this error of S3; undefined: as the store itself does. */
  refuseUploads(fault: Fault | undefined, keys?: string[]): void;
  /** How many uploads were refused. */
  refused(): number;
  /** How many connections to it are open. */
  connections(): Promise<number>;
}

export interface Fault {
  status: number;
  code: string;
}

/** Starts it in front of the store at `port` of 127.0.0.1; it ends with the test file. */
export async function startS3Trouble(port: number): Promise<S3Trouble> {
  let fault: Fault | undefined;
  let refusedKeys: string[] | undefined;
  let refused = 0;
  const server = createServer((request, response) => {
    const { method = "GET", url = "/", headers } = request;
    const isMeant = refusedKeys?.some((key) => url.endsWith(key)) ?? true;
    if (fault && isMeant && method === "PUT") {
      refused += 1;
      request.resume();
      response.writeHead(fault.status, { "content-type": "application/xml" });
      response.end(`<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>refused</Message></Error>`);
      return;
    }
    const upstream = httpRequest({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterAll(() => server.close());
  return {
    port: (server.address() as AddressInfo).port,
    refuseUploads: (next, keys) => {
      fault = next;
      refusedKeys = keys;
    },
    refused: () => refused,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
  };
}

/** A store that takes no other region in a signature, as Garage and MinIO with a site region do, or no request of another time than its own. */
export async function startStrictS3({
  region = "us-east-1",
  clockMs = () => Date.now(),
} = {}): Promise<{ port: number }> {
  const buckets = new Set<string>();
  const answerTo = (method = "", [bucket = "", key]: string[], said?: string): [status: number, xml: string] => {
    if (Math.abs(clockMs() - Date.now()) > 900_000) return [403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"];
    const malformed = `<Error><Code>AuthorizationHeaderMalformed</Code><Region>${region}</Region></Error>`;
    if (said !== region) return [400, malformed];
    if (method === "PUT" && key === undefined) buckets.add(bucket);
    if (!buckets.has(bucket)) return [404, "<Error><Code>NoSuchBucket</Code></Error>"];
    return [200, "<ListBucketResult/>"];
  };
  const server = createServer((request, response) => {
    const said = /Credential=[^/]+\/\d{8}\/([^/]+)\//.exec(request.headers.authorization ?? "")?.[1];
    const path = (request.url ?? "").split("?")[0]?.split("/").filter(Boolean) ?? [];
    const [status, xml] = answerTo(request.method, path, said);
    request.resume().on("end", () => {
      response.writeHead(status, { date: new Date(clockMs()).toUTCString(), etag: '"x"' });
      response.end(request.method === "HEAD" ? undefined : xml);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterAll(() => server.close());
  return { port: (server.address() as AddressInfo).port };
}
