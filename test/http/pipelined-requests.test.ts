import { once } from "node:events";
import type { RequestListener } from "node:http";
import { text } from "node:stream/consumers";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { startBareServer } from "../support/bare-server.ts";

/** A server with this handler alone on a free port, and how many requests Node has made of what it has read. */
async function serve(handler: RequestListener) {
  const { server, open } = await startBareServer(handler);
  const seen = { made: 0 };
  for (const event of ["request", "checkContinue", "checkExpectation"])
    server.prependListener(event, () => void seen.made++);
  return { seen, open };
}
const get = (headers = "Host: x\r\n", path = "/") => `GET ${path} HTTP/1.1\r\n${headers}\r\n`;
const CLOSE = "Connection: close\r\n";

it.each([
  ["without Host", get("")],
  ["with an expectation", get("Host: x\r\nExpect: miracles\r\n")],
  ["that wait for 100", get("Host: x\r\nExpect: 100-continue\r\n")],
  ["with thousands of headers", get(`Host: x\r\n${"a:\r\n".repeat(3_500)}`)],
  [
    "with thousands of trailers",
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${"a:b\r\n".repeat(2_000)}\r\n`,
  ],
])("connections of an address that sends many requests %s at once are read in turns", async (_what, line) => {
  const { seen, open } = await serve((_request, response) => void response.end());
  const CONNECTIONS = 8;
  const AT_ONCE = Math.floor(60_000 / line.length);
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = open();
      // From then on the server reads it.
      socket.write(get());
      await once(socket, "data");
      return socket.resume();
    }),
  );
  seen.made = 0;
  const allEnded = Promise.all(sockets.map((socket) => once(socket, "close")));
  let isOver = false;
  void allEnded.then(() => {
    isOver = true;
  });
  for (const socket of sockets) socket.write(line.repeat(AT_ONCE) + get(`Host: x\r\n${CLOSE}`));
  let most = 0;
  for (let before = 0; !isOver; before = seen.made) {
    await nextTurn();
    most = Math.max(most, seen.made - before);
  }
  expect(seen.made).toBeGreaterThan(CONNECTIONS);
  // What Node reads at once, 64 KB.
  expect(most).toBeLessThanOrEqual(Math.ceil(65_536 / line.length));
});

it.each([
  ["no Host", "", ["at /1;", "HTTP/1.1 400"]],
  ["an expectation", "Host: x\r\nExpect: miracles\r\n", ["at /1;", "HTTP/1.1 417", "at /3;"]],
  ["an expectation of 100", "Host: x\r\nExpect: 100-continue\r\n", ["at /1;", "HTTP/1.1 100", "at /2;", "at /3;"]],
])("a request with %s waits for the answer before it", async (_what, headers, answers) => {
  const begun: string[] = [];
  const { open } = await serve(async ({ url = "" }, response) => {
    begun.push(url);
    if (url === "/1") await nextTurn();
    response.end(`at ${url};`);
  });
  const socket = open();
  socket.write(get(undefined, "/1") + get(headers, "/2") + get(`Host: x\r\n${CLOSE}`, "/3"));
  expect((await text(socket)).match(/at \/\d;|HTTP\/1.1 [14]\d\d/g)).toEqual(answers);
  expect(begun.map((url) => `at ${url};`)).toEqual(answers.filter((answer) => answer.startsWith("at")));
});

it("HTTP/1.0 needs no Host", async () => {
  const { open } = await serve((_request, response) => void response.end("ok;"));
  const socket = open();
  socket.write("GET / HTTP/1.0\r\n\r\n");
  expect(await text(socket)).toMatch(/^HTTP\/1.1 200 [\s\S]*ok;$/);
});
