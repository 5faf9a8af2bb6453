import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, expect, it } from "vitest";
import { createHttpServer } from "../../src/http/server.ts";

const server = createHttpServer(
  async (request, response) => {
    // One that is cut off has nobody to answer.
    const body = await text(request).catch(() => undefined);
    response.end(body);
  },
  { headersMs: 300, requestMs: 600 },
);
server.listen(0, "127.0.0.1");
await once(server, "listening");
afterAll(() => server.close());

/** Sends `bytes` as they are and gives all that comes back until the server ends the connection. */
async function say(bytes: string): Promise<{ status: number; body: unknown }> {
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.write(bytes);
  const answer = await text(socket);
  return { status: Number(answer.split(" ")[1]), body: JSON.parse(answer.split("\r\n\r\n")[1] ?? "") };
}

it.each([
  ["a body that does not come", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 408],
  ["headers that do not end", "POST / HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\n", 408],
  ["headers without end", `GET / HTTP/1.1\r\nHost: x\r\nX-Flood: ${"x".repeat(20_000)}\r\n\r\n`, 431],
  ["what is no HTTP", "hello\r\n\r\n", 400],
  ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
  ["an expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nConnection: close\r\n\r\n", 417],
])("%s is refused in JSON", async (_what, bytes, status) => {
  expect(await say(bytes)).toEqual({ status, body: { error: expect.stringMatching(/^[A-Z].*\.$/) } });
});
