/** Many connections at once, without the service behind them. */
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { type Bound, boundConnections } from "../../src/http/connection-limit.ts";
import { createUnkeyedConnections } from "../../src/http/unkeyed-connections.ts";
import { createLog } from "../../src/log.ts";
import { eventually } from "../support/eventually.ts";

/** A server that takes every request for one with a valid key, and whose connections are bounded as the service's are. */
async function startServer({ perAddress, graceMs, ...bound }: { perAddress: number; graceMs: number } & Bound) {
  const connections = createUnkeyedConnections(perAddress, graceMs);
  const server = createServer((request, response) => {
    connections.prove(request.socket);
    response.end("ok");
  });
  server.on("connection", connections.admit);
  const logged: Record<string, unknown>[] = [];
  const log = createLog("info", { write: (line) => void logged.push(JSON.parse(line)) });
  boundConnections(server, connections, log, bound);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const open = (): Socket => connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
  return { server, logged, open };
}

const ASK = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const ask = (socket: Socket) => {
  socket.write(ASK);
  return text(socket);
};

it("connections that come at once, each with a key, are all answered", async () => {
  const { server, open } = await startServer({ perAddress: 5, graceMs: 60_000 });
  expect(server.maxConnections > 0).toBe(process.platform === "linux");
  const sockets = Array.from({ length: 300 }, open);
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const answers = await Promise.all(sockets.map(ask));
  expect(answers.filter((answer) => answer.startsWith("HTTP/1.1 200 "))).toHaveLength(300);
});

it.each([
  ["held", false],
  ["held by a process that is handed them by another", true],
])(
  "when no more connections can be %s, that is logged once, and the oldest without a key make room",
  async (_, areHandedOver) => {
    const { logged, open } = await startServer({ perAddress: 100, graceMs: 60_000, most: 20, areHandedOver });
    const strangers = Array.from({ length: 20 }, open);
    await Promise.all(strangers.map((socket) => once(socket, "connect")));
    await eventually(async () => expect(await ask(open()).catch(() => "")).toMatch(/^HTTP\/1.1 200 /));
    expect(strangers.filter((socket) => socket.closed || socket.readableEnded || socket.destroyed).length).toBeLessThan(
      20,
    );
    expect(logged).toMatchObject([{ level: 50, refused: 1, msg: expect.stringMatching(/^connections were refused/) }]);
  },
);
