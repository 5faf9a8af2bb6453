import { once } from "node:events";
import type { IncomingMessage, RequestListener } from "node:http";
import type { Socket } from "node:net";
import { finished } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { createUnkeyedConnections } from "../../src/http/unkeyed-connections.ts";
import { startBareServer } from "../support/bare-server.ts";
import { eventually } from "../support/eventually.ts";
import { chunks, END } from "../support/raw-server.ts";

/** A server with this handler alone on a free port, and a connection to it: the client's side and the server's. */
async function serve(handler: RequestListener, connections = createUnkeyedConnections(0)) {
  const { server, open } = await startBareServer(handler, connections);
  const client = open();
  const [served]: Socket[] = await once(server, "connection");
  if (!served) throw new Error("No connection came.");
  return { client, served };
}
const head = (more = "") => `POST / HTTP/1.1\r\nHost: x\r\n${more}Transfer-Encoding: chunked\r\n\r\n`;
/** 1.2 MB. */
const MANY = 200_000;

async function lengthOf(request: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  return bytes;
}

it("a body in very many chunks of one byte is refused with 400 while it is read", async () => {
  let taken = 0;
  let isGivenUp = false;
  const { client } = await serve((request) => {
    request.on("data", () => void taken++);
    // Its reader does not wait for ever.
    finished(request, (error) => {
      isGivenUp = error !== undefined;
    });
  });
  // So few that the server reads them all, and the client reads its answer.
  client.write(head() + chunks(10_000, 1) + END);
  expect(await text(client)).toMatch(/^HTTP\/1\.1 400 [\s\S]*too many chunks of a few bytes/);
  await eventually(async () => expect(isGivenUp).toBe(true));
  expect(taken).toBeLessThan(10_000);
});

it.each([
  ["to a reader", "", chunks(MANY, 1), true],
  ["after an early answer", "", chunks(MANY, 1), false],
  ["to a refused expectation", "Expect: miracles\r\n", chunks(MANY, 1), false],
  ["of many short bodies", "", (chunks(3_000, 1) + END + head()).repeat(60), false],
])("the connection is closed where very many small chunks come %s", async (_what, header, body, isRead) => {
  const { client, served } = await serve((request, response) => {
    if (isRead) request.resume();
    else response.end("early");
  });
  const closed = once(served, "close");
  client.resume().write(head(header) + body);
  await closed;
  expect(served.bytesRead).toBeLessThan(body.length / 2);
});

it.each([
  ["some thousand single bytes", 4_000, 1],
  ["very many lines", 100_000, 20],
])("%s pass", async (_what, count, bytes) => {
  const { client } = await serve(async (request, response) => void response.end(`took ${await lengthOf(request)}`));
  client.write(head("Connection: close\r\n") + chunks(count, bytes) + END);
  expect(await text(client)).toMatch(new RegExp(`took ${count * bytes}$|\r\ntook ${count * bytes}\r\n`));
});

it("a body that nobody reads leaves its connection in use after the answer", async () => {
  const { client } = await serve(({ url }, response) => void response.end(`at ${url};`));
  client.write(head() + chunks(10, 20_000));
  await once(client, "data");
  client.write(`${chunks(10, 20_000)}${END}GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  expect(await text(client)).toContain("at /next;");
});

it.each([
  ["a stranger", false],
  ["a client with a valid key", true],
])("a body in very many lines from %s is read in turns, between which others are served", async (_who, isProven) => {
  const connections = createUnkeyedConnections(0);
  let [inTurn, mostInTurn] = [0, 0];
  const { client } = await serve(async (request, response) => {
    if (isProven) connections.prove(request.socket);
    let bytes = 0;
    for await (const line of request.on("data", () => void inTurn++)) bytes += line.length;
    response.end(`took ${bytes}`);
  }, connections);
  let isOver = false;
  const endTurn = () => {
    [inTurn, mostInTurn] = [0, Math.max(inTurn, mostInTurn)];
    if (!isOver) setImmediate(endTurn);
  };
  endTurn();
  client.write(head("Connection: close\r\n") + chunks(100_000, 20) + END);
  expect(await text(client)).toContain("took 2000000");
  isOver = true;
  // 1,000, and the rest of the 64 KB that were read.
  expect(mostInTurn).toBeLessThan(4_000);
});
