import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { refusalAsText, refuseBare } from "./bare-refusal.ts";
import { expectBody, LOOK_EVERY_MS, refuseLateBodies, TOO_LATE } from "./body-arrival.ts";
import { boundConnections } from "./connection-limit.ts";
import { stablePrototypes } from "./express-prototypes.ts";
import { createManyChunksLimit } from "./many-chunks.ts";
import { createPipelinedRequests } from "./pipelined-requests.ts";
import { createSocketTurns } from "./socket-turns.ts";
import type { UnkeyedConnections } from "./unkeyed-connections.ts";
import { createUnreadAnswersLook } from "./unread-answers.ts";

export interface Patience {
  /** How long a request's headers may take to arrive, in milliseconds. */
  headersMs: number;
  /**
   * How long its body may take after that, in milliseconds, unless its route calls `allowBody`, and how long an answer may wait without anything
   * of it being read. 10 MB over 1 Mbit/s take 80 s. Where others wait for memory for large bodies, it has less (body-budget.ts).
   */
  requestMs: number;
  /** How long the rest of a body is read and dropped after the answer. A client that is cut off at once may not see its answer. */
  lingerMs: number;
}

/** The most bytes of a request's headers, and how many of them are looked at. Clients and their proxies send a few dozen. */
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 100;
/**
 * Idle connections are kept longer than proxies keep theirs (nginx and ALB 60 s, cloudflared and Traefik 90 s): a request that a proxy sends just
 * when the server closes the connection is lost.
 */
const IDLE_MS = 95_000;
const PATIENCE: Patience = { headersMs: 20_000, requestMs: 120_000, lingerMs: 3_000 };

export interface ServerDeps {
  log: Logger;
  connections: UnkeyedConnections;
  /** Connections come from another process, which takes them from the port. */
  areHandedOver?: boolean;
  /** For tests. */
  patience?: Patience | undefined;
}

/** An HTTP server whose connections do not hang, and that says in JSON why it cannot read a request. */
export function createHttpServer(
  app: RequestListener,
  { log, connections, areHandedOver = false, patience = PATIENCE }: ServerDeps,
): Server {
  const { headersMs, requestMs, lingerMs } = patience;
  const server = createServer({
    ...stablePrototypes(app),
    maxHeaderSize: MAX_HEADER_BYTES,
    // Node refuses each request without Host as soon as it has read it, past the line of its connection. Here it stands in line: `beginRequest`.
    requireHostHeader: false,
    headersTimeout: headersMs,
    keepAliveTimeout: IDLE_MS,
    // Node has one limit for all requests. Here each has its own: see body-arrival.ts.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(5_000, headersMs),
  });
  server.maxHeadersCount = MAX_HEADERS;
  /** The open connections, each with the time when it came. */
  const open = new Map<Socket, number>();
  const turns = createSocketTurns(open, connections);
  const pipelined = createPipelinedRequests(turns);
  const answers = new WeakMap<Duplex, ServerResponse>();
  const limitManyChunks = createManyChunksLimit(turns, answers);
  /** Connections on which something came that is not HTTP. */
  const broken = new WeakSet<Duplex>();

  /** Hands a request to who answers it when it is its turn on its connection. */
  const beginRequest = (request: IncomingMessage, response: ServerResponse, answer: RequestListener) => {
    const { socket } = request;
    // The rest of the request will not come; the refusal stands behind it in the line.
    if (broken.has(socket) && !request.complete) return pipelined.leave(socket);
    answers.set(socket, response);
    const { "transfer-encoding": chunked, "content-length": length } = request.headers;
    const hasBody = chunked !== undefined || Number(length) > 0;
    if (hasBody) expectBody({ request, response, until: performance.now() + requestMs }, lingerMs);
    response.on("close", () => {
      pipelined.leave(socket);
      // While the server closes, Node ends a connection that is kept alive only 5 s after its last answer.
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
    if (request.httpVersion === "1.1" && request.headers.host === undefined)
      return refuseBare(response, 400, NO_HOST, { isLast: true });
    answer(request, response);
  };
  /** Takes requests of whatever kind: each is counted, and waits behind those before it on its connection. */
  const takeFor =
    (answer: RequestListener): RequestListener =>
    (request, response) => {
      limitManyChunks(request, response);
      // Its rest was read too, 3,500 empty ones of 14 KB.
      if (request.rawHeaders.length >= 2 * MAX_HEADERS) turns.endTurn(request.socket);
      pipelined.enter(request.socket, () => beginRequest(request, response, answer), request);
    };

  /** While the server closes: Node does not count connections without a request as idle, and they would keep it open. */
  const closeSilentConnections = () => {
    // On a newer connection a request may be on its way.
    const before = performance.now() - SILENT_MS;
    for (const [socket, cameAt] of open) if (cameAt < before && !answers.has(socket)) socket.destroy();
  };

  /** Says on the connection why what came on it is no request, and ends it. */
  const refuseBroken = (error: NodeJS.ErrnoException, socket: Duplex) => {
    broken.add(socket);
    const answer = answers.get(socket);
    const refuse = () => {
      const isBetween = answer === undefined || answer.writableFinished || !answer.headersSent;
      if (socket.writable && isBetween) socket.end(refusalAsText(...refusalOf(error)));
      else socket.destroy();
    };
    if (error.code === "ECONNRESET" || !(socket instanceof Socket)) socket.destroy();
    // The request that is handled has come whole, so that the fault is in a later one. What came before that is answered first.
    else if (answer?.req.complete && !answer.writableFinished) pipelined.enter(socket, refuse);
    else refuse();
  };

  server.on("request", takeFor(app));
  const continueForApp: RequestListener = (request, response) => {
    response.writeContinue();
    app(request, response);
  };
  server.on("checkContinue", takeFor(continueForApp));
  const refuseExpectation: RequestListener = (_request, response) =>
    refuseBare(response, 417, "Expect is not supported with any value but 100-continue.", { isLast: false });
  server.on("checkExpectation", takeFor(refuseExpectation));
  server.on("connection", connections.admit);
  server.on("connection", (socket) => {
    open.set(socket, performance.now());
    turns.admit(socket);
    socket.once("close", () => open.delete(socket));
  });
  const cutUnreadAnswers = createUnreadAnswersLook(open, requestMs);
  boundConnections(server, connections, log, { areHandedOver });
  const look = () => {
    refuseLateBodies();
    cutUnreadAnswers();
    if (!server.listening) closeSilentConnections();
  };
  const looking = setInterval(look, Math.min(LOOK_EVERY_MS, requestMs)).unref();
  server.on("close", () => clearInterval(looking));
  server.on("clientError", refuseBroken);
  return server;
}

/** How long a connection on which no request has come is kept by a server that closes. */
const SILENT_MS = 1_000;

const NO_HOST = "The request has no Host header, which HTTP/1.1 requires: send the host's name of the URL in it.";

type Refusal = [status: number, error: string];
const REFUSALS: Record<string, Refusal> = {
  HPE_HEADER_OVERFLOW: [431, "The headers are too large or too many: 16 KB and 100 are the limits."],
  ERR_HTTP_REQUEST_TIMEOUT: [408, TOO_LATE],
};

const refusalOf = ({ code = "" }: NodeJS.ErrnoException): Refusal =>
  REFUSALS[code] ?? [400, "This is not a request that HTTP allows."];
