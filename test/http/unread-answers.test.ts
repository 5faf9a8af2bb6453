import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { createUnreadAnswersLook } from "../../src/http/unread-answers.ts";
import { eventually } from "../support/eventually.ts";

const MB = 1_000_000;

/** A server that answers with so many bytes as its path says, and its open connections. */
async function startServer() {
  const open = new Set<Socket>();
  const server = createServer(({ url = "" }, response) => void response.end(Buffer.alloc(Number(url.slice(1)))));
  server.on("connection", (socket) => void open.add(socket.once("close", () => open.delete(socket))));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.closeAllConnections());
  onTestFinished(() => void server.close());
  /** Asks for so many bytes, and reads nothing. */
  const ask = (bytes: number) => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
    onTestFinished(() => void socket.destroy());
    return socket.on("error", () => {}).write(`GET /${bytes} HTTP/1.1\r\nHost: x\r\n\r\n`);
  };
  const unread = () => [...open].filter((socket) => socket.writableLength > 0);
  const count = promisify(server.getConnections).bind(server);
  return { open, ask, unread, count };
}

it("cuts a connection that takes nothing of its answer in time, and no other", async () => {
  const { open, ask, unread, count } = await startServer();
  ask(50 * MB);
  ask(10);
  await eventually(() => expect([open.size, unread().length]).toEqual([2, 1]));
  const look = createUnreadAnswersLook(open, 100, { bytesPerMs: MB });
  look();
  expect(open.size).toBe(2);
  await eventually(async () => {
    look();
    expect(await count()).toBe(1);
  });
  await eventually(() => expect(unread()).toHaveLength(0));
});

it("cuts those that have taken nothing for longest when the answers of all together are too many", async () => {
  const { open, ask, unread } = await startServer();
  ask(50 * MB);
  await eventually(() => expect(unread()).toHaveLength(1));
  const [first] = unread();
  const look = createUnreadAnswersLook(open, 60_000, { mostBytes: 80 * MB });
  look();
  ask(40 * MB);
  await eventually(() => expect(unread()).toHaveLength(2));
  look();
  await eventually(() => expect(open.size).toBe(1));
  expect(open.has(first ?? expect.fail())).toBe(false);
  look();
  expect(open.size).toBe(1);
});
