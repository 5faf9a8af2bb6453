/**
 * A scripted Membridge control plane: a real HTTP server that answers as version 0.3.0 was seen to do (neighbours.md), writes down what it
 * was asked, and misbehaves where a test tells it to.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { ADMIN_KEY } from "./app.ts";

/** A request as it arrived; `path` is not decoded, `at` is in milliseconds of `performance.now()`. */
export interface MembridgeRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
  at: number;
}

export type Fault =
  /** An answer of the test's own: JSON, or a page of HTML. */
  | { status: number; json: unknown }
  | { status: number; html: string }
  /** An answer made from the admin key that arrived. */
  | { status: number; echo: (adminKey: string) => string; type?: "application/json" | "text/html" }
  | { redirect: string; status?: number }
  /** Valid JSON of this length, before compression. */
  | { bytes: number; gzip?: boolean }
  /** No answer at all; an answer that begins and never ends; the connection cut. */
  | "hang"
  | "stall"
  | "cut";

export interface FakeMembridge {
  url: string;
  port: number;
  /** What it has been asked, oldest first. */
  requests: MembridgeRequest[];
  /** How many calls were given up before they were answered. */
  givenUp: number;
  /** What `GET /agents` lists; the test's to change. */
  agents: unknown[];
  projects: ReturnType<typeof aProject>[];
  /** The nodes of each project, by its canonical id. */
  nodes: Record<string, unknown[]>;
  /** Answers the next `times` requests for `path` (as sent, without the query; "*" for every path) with the fault. */
  fail(path: string, fault: Fault, times?: number): void;
  /** As it was at the start: no faults, nothing listed, nothing written down. */
  reset(): void;
  close(): Promise<void>;
}

/** An agent as `GET /agents` lists a fresh one. */
export const anAgent = (name: string, fields: Record<string, unknown> = {}) => ({
  name,
  url: `http://${name}.invalid:8001`,
  status: "unknown",
  registered_at: 1795440113.709958,
  last_seen: null,
  ...fields,
});

export const aProject = (name: string, canonical_id: string) => ({
  name,
  canonical_id,
  created_at: 1795439980.2688582,
  last_seen: null,
  nodes_count: 0,
  source: "manual",
});

/** A time as Membridge writes it: float seconds. */
export const secondsAgo = (seconds: number) => Date.now() / 1_000 - seconds + 0.0000123;

/** Starts one on 127.0.0.1, on a free port unless told which. It answers 401 to whoever has another admin key. */
export async function startMembridge({ port = 0, adminKey = ADMIN_KEY } = {}): Promise<FakeMembridge> {
  let faults: { path: string; fault: Fault; left: number }[] = [];
  const server = createServer(async (request, response) => {
    const asked = await readRequest(request);
    fake.requests.push(asked);
    response.on("close", () => {
      if (!response.writableFinished) fake.givenUp += 1;
    });
    const path = asked.path.split("?")[0];
    const planned = faults.find((one) => one.left > 0 && (one.path === "*" || one.path === path));
    if (planned) {
      planned.left -= 1;
      misbehave(planned.fault, asked, response);
    } else if (path !== "/health" && asked.headers["x-membridge-admin"] !== adminKey) {
      json(response, 401, { detail: "Unauthorized — X-MEMBRIDGE-ADMIN is missing or wrong" });
    } else {
      json(response, ...behave(fake, asked));
    }
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const listening = (server.address() as AddressInfo).port;
  const fake: FakeMembridge = {
    url: `http://127.0.0.1:${listening}`,
    port: listening,
    requests: [],
    givenUp: 0,
    agents: [],
    projects: [],
    nodes: {},
    fail: (path, fault, times = Number.POSITIVE_INFINITY) => void faults.push({ path, fault, left: times }),
    reset: () => {
      faults = [];
      Object.assign(fake, { requests: [], givenUp: 0, agents: [], projects: [], nodes: {} });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return fake;
}

/** Resolves when fetch has tried to connect to this port and was refused. */
export function connectionRefused(port: number): Promise<void> {
  return new Promise((resolve) => {
    const onError = (message: unknown) => {
      const { connectParams } = message as { connectParams: { port: string } };
      if (Number(connectParams.port) !== port) return;
      unsubscribe("undici:client:connectError", onError);
      resolve();
    };
    subscribe("undici:client:connectError", onError);
  });
}

async function readRequest(request: IncomingMessage): Promise<MembridgeRequest> {
  const { method = "", url = "", headers } = request;
  const at = performance.now();
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return { method, path: url, headers, body: text === "" ? undefined : JSON.parse(text), at };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, "application/json", JSON.stringify(body));
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { "content-type": type }).end(text);
}

/** The control plane as it was seen: status and JSON. */
function behave(fake: FakeMembridge, { method, path, body }: MembridgeRequest): [status: number, json: unknown] {
  const call = `${method} ${path.split("?")[0]}`;
  const { agents, projects } = fake;
  if (call === "GET /health") {
    const counts = { projects: projects.length, agents: agents.length };
    return [200, { status: "ok", service: "membridge-control-plane", version: "0.3.0", ...counts }];
  }
  if (call === "GET /agents") return [200, agents];
  if (call === "GET /projects") return [200, projects];
  const [, cid, what] = /^(?:GET|POST) \/projects\/([^/]+)\/(leadership|nodes|leadership\/select)$/.exec(call) ?? [];
  const project = projects.find((one) => encodeURIComponent(one.canonical_id) === cid);
  if (!project) return [404, { detail: "Not Found" }];
  const { canonical_id } = project;
  const nodes = fake.nodes[canonical_id] ?? [];
  if (method === "GET" && what === "nodes") return [200, nodes];
  if (method === "GET" && what === "leadership")
    return [200, { canonical_id, preferred_primary: null, node_count: nodes.length, nodes }];
  if (method !== "POST" || what !== "leadership/select") return [405, { detail: "Method Not Allowed" }];
  const { primary_node_id, lease_seconds = 3_600 } = body as { primary_node_id?: string; lease_seconds?: number };
  if (primary_node_id === undefined) {
    const missing = { type: "missing", loc: ["body", "primary_node_id"], msg: "Field required" };
    return [422, { detail: [missing] }];
  }
  return [200, { ok: true, canonical_id, primary_node_id, lease_seconds, detail: "Leadership lease written" }];
}

function misbehave(fault: Fault, { headers }: MembridgeRequest, response: ServerResponse): void {
  if (fault === "hang") return;
  if (fault === "cut") {
    response.socket?.destroy();
  } else if (fault === "stall") {
    response.writeHead(200, { "content-type": "application/json" }).write('{"status":');
  } else if ("json" in fault) {
    json(response, fault.status, fault.json);
  } else if ("html" in fault) {
    send(response, fault.status, "text/html", fault.html);
  } else if ("echo" in fault) {
    const adminKey = String(headers["x-membridge-admin"] ?? "");
    send(response, fault.status, fault.type ?? "application/json", fault.echo(adminKey));
  } else if ("redirect" in fault) {
    response.writeHead(fault.status ?? 307, { location: fault.redirect }).end();
  } else {
    const text = JSON.stringify("x".repeat(fault.bytes - 2));
    response.writeHead(200, { "content-type": "application/json", ...(fault.gzip && { "content-encoding": "gzip" }) });
    response.end(fault.gzip ? gzipSync(text) : text);
  }
}
