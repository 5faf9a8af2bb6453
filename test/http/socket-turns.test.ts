import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { createSocketTurns } from "../../src/http/socket-turns.ts";

/** A server's side of a new connection that nobody writes to. */
async function aConnection(): Promise<Socket> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [served]: Socket[] = await once(server, "connection");
  if (!served) throw new Error("No connection came.");
  onTestFinished(() => {
    client.destroy();
    served.destroy();
    server.close();
  });
  return served.on("data", () => {});
}

it("a connection that is paused, since more has come of its body than is read, is not read on because its address is a crowd", async () => {
  const [noisy, full, other] = [await aConnection(), await aConnection(), await aConnection()];
  const turns = createSocketTurns(new Map([noisy, full, other].map((socket) => [socket, 0])), {
    isProven: () => false,
  });
  for (const socket of [noisy, full, other]) turns.admit(socket);
  // By then each is read.
  await turn();
  full.pause();
  let readOn = 0;
  full.on("resume", () => void readOn++);
  const isReadAgain = once(other, "resume");
  turns.reportCrowd(noisy);
  await isReadAgain;
  expect([readOn, full.isPaused()]).toEqual([0, true]);
});
