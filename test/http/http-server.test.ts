import { on, once } from "node:events";
import type { ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setImmediate as nextTurn } from "node:timers/promises";
import express from "express";
import request from "supertest";
import { expect, it, onTestFinished } from "vitest";
import { createHttpServer } from "../../src/http/http-server.ts";
import { createUnkeyedConnections } from "../../src/http/unkeyed-connections.ts";
import { createStartup } from "../../src/http/while-starting.ts";
import { createLog } from "../../src/log.ts";
import { startApp } from "../support/app.ts";
import { startBareServer } from "../support/bare-server.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { sendBytes } from "../support/send-bytes.ts";

const { db } = await createTestDatabase();
const patience = { headersMs: 300, requestMs: 600, lingerMs: 200 };
const { url } = await startApp(db, { patience });
const API_KEY = "a-key-of-16-chars";
const guarded = await startApp(db, {
  env: { RUNTIME_API_KEY: API_KEY, STRANGER_CONNECTIONS_PER_ADDRESS: "5" },
  patience: { ...patience, requestMs: 10_000 },
});
const TASKS = "/api/runtime/llm-tasks";
const JSON_TYPE = "Content-Type: application/json\r\n";

/** What is answered to these bytes, which must be an answer of the runtime itself. */
async function say(bytes: string): Promise<{ status: number; body: unknown }> {
  const answer = await sendBytes(url, bytes);
  expect(answer).toMatch(/^x-bloom-runtime: 1\r$/im);
  return { status: Number(answer.split(" ")[1]), body: JSON.parse(answer.split("\r\n\r\n")[1] ?? "") };
}
const headers = (count: number, length = 1) =>
  Array.from({ length: count }, (_, n) => `X-Flood-${n}: ${"x".repeat(length)}\r\n`).join("");

it.each([
  ["a body that does not come", `POST ${TASKS} HTTP/1.1\r\nHost: x\r\n${JSON_TYPE}Content-Length: 10\r\n\r\n{`, 408],
  [
    "a chunk that does not end",
    `POST ${TASKS} HTTP/1.1\r\nHost: x\r\n${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\n5\r\n{`,
    408,
  ],
  ["headers that do not end", "POST / HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\n", 408],
  ["headers without end", `GET / HTTP/1.1\r\nHost: x\r\nX-Flood: ${"x".repeat(17_000)}\r\n\r\n`, 431],
  ["many headers that are too long together", `GET / HTTP/1.1\r\nHost: x\r\n${headers(90, 200)}\r\n`, 431],
  ["what is no HTTP", "hello\r\n\r\n", 400],
  ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
  ["a request without Host", "GET /livez HTTP/1.1\r\n\r\n", 400],
  ["an expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nConnection: close\r\n\r\n", 417],
])("%s is refused in JSON", async (_what, bytes, status) => {
  expect(await say(bytes)).toEqual({ status, body: { error: expect.stringMatching(/^[A-Z].*\.$/) } });
});

it("a body that comes drop by drop is given no more time for each drop", async () => {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write(`POST ${TASKS} HTTP/1.1\r\nHost: x\r\n${JSON_TYPE}Content-Length: 1000\r\n\r\n`);
  const started = performance.now();
  const dripping = setInterval(() => socket.writable && socket.write(" "), 50);
  const answer = await text(socket).finally(() => clearInterval(dripping));
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  // All the drops would take 50 s.
  expect(performance.now() - started).toBeLessThan(20_000);
});

it("15 KB of headers are served, and of more than 100 the rest is not looked at, or newer versions of Node.js refuse all", async () => {
  const health = (more: string) =>
    say(`GET /api/runtime/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n`);
  expect(await health(headers(5, 3_000))).toMatchObject({ status: 200, body: { status: "ok" } });
  const { status } = await health(`${headers(200)}X-Forwarded-Proto: http\r\n`);
  expect([200, 431]).toContain(status);
});

it("an idle connection is kept for longer than the 90 s of a proxy in front", async () => {
  const { headers: answered } = await fetch(`${url}/api/runtime/health`);
  expect(answered.get("keep-alive")).toBe("timeout=95");
});

const SHORT = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

it("requests that come at once on a connection are handled one after the other, and all are answered", async () => {
  let running = 0;
  const most: number[] = [];
  const { open } = await startBareServer(async ({ url: path }, response) => {
    most.push(++running);
    await nextTurn();
    running -= 1;
    response.end(`at ${path};`);
  });
  const send = (count: number, last = "") => {
    const socket = open();
    const paths = Array.from({ length: count }, (_, n) => `GET /${n} HTTP/1.1\r\nHost: x\r\n\r\n`);
    socket.write(paths.join("") + last);
    return socket;
  };
  const answer = await text(send(3_000, "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  expect([...answer.matchAll(/at \/(\w+);/g)].map(([, path]) => path)).toEqual(
    [...Array(3_000).keys(), "last"].map(String),
  );
  expect(Math.max(...most)).toBe(1);
});

it.each([
  ["no request", "no request\r\n\r\n"],
  ["a wrong chunk", "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"],
])("what came before %s is answered, and then that is refused", async (_what, unreadable) => {
  const { open } = await startBareServer(async ({ url: path }, response) => {
    await nextTurn();
    response.end(`at ${path};`);
  });
  const socket = open();
  socket.write(`GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n${unreadable}`);
  const answer = await text(socket);
  expect(answer.match(/at \/\d;|HTTP\/1.1 4\d\d/g)).toEqual(["at /1;", "at /2;", "HTTP/1.1 400"]);
});

it("connections of an address that sends thousands of requests at once are read in turns", async () => {
  let made = 0;
  const { server, open } = await startBareServer((_request, response) => void response.end());
  server.prependListener("request", () => void made++);
  const CONNECTIONS = 8;
  const AT_ONCE = 2_000;
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = open();
      // From then on the server reads it.
      socket.write(SHORT);
      await once(socket, "data");
      return socket.resume();
    }),
  );
  made = 0;
  for (const socket of sockets) socket.write(SHORT.repeat(AT_ONCE));
  let most = 0;
  for (let seen = 0; seen < CONNECTIONS * AT_ONCE; seen = made) {
    await nextTurn();
    most = Math.max(most, made - seen);
  }
  // What Node reads at once, 64 KB.
  expect(most).toBeLessThanOrEqual(65_536 / SHORT.length);
});

/** A server that begins requests and answers none until `answer` is called, and how many requests Node has made of what it has read. */
async function startPatient() {
  const seen = { begun: 0, made: 0 };
  const unanswered: ServerResponse[] = [];
  let isPatient = true;
  const { server, open } = await startBareServer((_request, response) => {
    seen.begun += 1;
    if (isPatient) unanswered.push(response);
    else response.end("ok;");
  });
  server.prependListener("request", () => void seen.made++);
  const answer = () => {
    isPatient = false;
    for (const response of unanswered) response.end("ok;");
  };
  return { seen, answer, open };
}

it("requests behind an unanswered one are left to the kernel, and all are answered in the end", async () => {
  const { seen, answer, open } = await startPatient();
  const socket = open();
  const COUNT = 6_000;
  for (let n = 0; n < COUNT; n++) {
    socket.write(n < COUNT - 1 ? SHORT : SHORT.replace("Host", "Connection: close\r\nHost"));
    if (n % 10 === 0) await nextTurn();
  }
  expect(seen.begun).toBe(1);
  // A few, and what Node reads at once.
  expect(seen.made).toBeLessThan(3_000);
  answer();
  expect((await text(socket)).match(/ok;/g)).toHaveLength(COUNT);
});

it("the end of a connection is seen while its first request waits, with another behind it", async () => {
  const { seen, open } = await startPatient();
  const socket = open();
  socket.write(SHORT + SHORT);
  await eventually(async () => expect(seen.made).toBe(2));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.end();
  await closed;
});

it("of connections with thousands of requests behind unanswered ones, those too many for all are cut", async () => {
  const { seen, open } = await startPatient();
  let cut = 0;
  for (let n = 0; n < 6; n++) {
    open()
      .on("close", () => void cut++)
      .write(SHORT.repeat(2_000));
  }
  await eventually(async () => expect(cut).toBeGreaterThan(2));
  expect(seen.begun).toBeGreaterThan(2);
  expect(cut).toBeLessThan(5);
});

/** A connection to the service with a key, on which `bytes` were sent. */
function begin(bytes: string): Socket {
  const socket = connect(Number(new URL(guarded.url).port), "127.0.0.1");
  socket.on("error", () => {}).write(bytes);
  return socket;
}
const lines = (line: string, more = "") => `${line} HTTP/1.1\r\nHost: x\r\n${more}`;
const UNENDED = `${JSON_TYPE}Content-Length: 100000\r\n\r\n{`;

it.each([
  ["401", lines(`POST ${TASKS}`, UNENDED)],
  ["404", lines("POST /nowhere", UNENDED)],
  ["200", lines("GET /api/runtime/health", UNENDED)],
  ["415", lines(`POST ${TASKS}`, `X-Runtime-API-Key: ${API_KEY}\r\nContent-Length: 100000\r\n\r\n{`)],
])("a body that is dripped after its answer of %s ends with its connection", async (status, bytes) => {
  const socket = begin(bytes);
  const dripping = setInterval(() => socket.writable && socket.write(" "), 50);
  const answer = await text(socket).finally(() => clearInterval(dripping));
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
});

it("a body that ends soon after its answer leaves the connection in use", async () => {
  const socket = begin(lines(`POST ${TASKS}`, `${JSON_TYPE}Content-Length: 2\r\n\r\n{`));
  await once(socket, "data");
  socket.write(`}${lines("GET /api/runtime/health", "Connection: close\r\n\r\n")}`);
  expect(await text(socket)).toMatch(/^HTTP\/1.1 200 /);
});

it("the oldest connections without a key give way to new ones from their address; one with a key does not", async () => {
  const keyed = begin(lines("GET /api/runtime/stats", `X-Runtime-API-Key: ${API_KEY}\r\n\r\n`));
  expect(String((await once(keyed, "data"))[0])).toMatch(/^HTTP\/1.1 200 /);
  const strangers: Socket[] = [];
  for (let n = 0; n < 7; n++) {
    const stranger = begin("GET / HTTP/1.1\r\n");
    await once(stranger, "connect");
    strangers.push(stranger);
  }
  await Promise.all(strangers.slice(0, 2).map((socket) => text(socket)));
  expect(strangers.slice(2).map((socket) => socket.readableEnded)).toEqual(Array(5).fill(false));
  keyed.write(lines("GET /api/runtime/stats", `X-Runtime-API-Key: ${API_KEY}\r\nConnection: close\r\n\r\n`));
  expect(await text(keyed)).toMatch(/^HTTP\/1.1 200 /);
  for (const stranger of strangers) stranger.destroy();
});

it("a connection on which nothing was asked does not keep a closing server open", async () => {
  const connections = createUnkeyedConnections(0);
  const server = createHttpServer(() => {}, { log: createLog("silent"), connections, patience });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(server, "connection");
  await Promise.all([new Promise((resolve) => server.close(resolve)), text(socket)]);
});

it("a start that takes long, or fails, answers 503 to those who wait for it, and does nothing for one that has gone", async () => {
  const slow = express().use(createStartup(0).handler);
  expect(await request(slow).get(TASKS)).toMatchObject({ status: 503, headers: { "retry-after": "2" } });

  const done: string[] = [];
  const startup = createStartup(600_000);
  const app = express().use(startup.handler, ({ url }, response) => {
    done.push(url);
    response.type("json").end("[]");
  });
  const server = app.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gone = new AbortController();
  const arrivals = on(server, "request");
  const leaving = fetch(`${at}/gone`, { signal: gone.signal }).catch(() => "gone");
  const [first] = (await arrivals.next()).value;
  const waiting = fetch(at + TASKS);
  await arrivals.next();
  gone.abort();
  expect(await leaving).toBe("gone");
  await eventually(() => expect(first.closed).toBe(true));
  startup.succeed();
  expect((await waiting).status).toBe(200);
  expect(done).toEqual([TASKS]);

  const failing = createStartup();
  const failed = request(express().use(failing.handler)).get(TASKS).then();
  failing.fail();
  expect(await failed).toMatchObject({ status: 503 });
});
