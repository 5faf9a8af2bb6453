import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, expect, it } from "vitest";
import { boundedFetch } from "../../src/fleet/bounded-fetch.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { eventually } from "../support/eventually.ts";
import {
  CHUNKED,
  chunks,
  END,
  HINTS,
  sendForEver,
  startRawServer,
  TOO_MANY_CHUNKS,
  TOO_MANY_HINTS,
} from "../support/raw-server.ts";

const outbound = createOutbound();
afterAll(() => outbound.destroy());

async function call(bytes: string, onEach?: (socket: Socket) => void, maxBytes: number | "unread" = 20_000_000) {
  const { port, sockets } = await startRawServer(bytes, onEach);
  const calling = boundedFetch(outbound, `http://127.0.0.1:${port}/`, {
    method: "POST",
    headers: new Headers(),
    body: "{}",
    timeoutMs: 10_000,
    maxBytes,
  });
  return { calling, sockets };
}

it.each([
  ["103 Early Hints", "", HINTS.repeat(1_000), "unread" as const, TOO_MANY_HINTS],
  ["102 Processing", "", "HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000), 1_000, TOO_MANY_HINTS],
  ["chunks of one byte", CHUNKED, chunks(1_000, 1), 20_000_000, TOO_MANY_CHUNKS],
  ["chunks of a line", CHUNKED, chunks(1_000, 60), 20_000_000, TOO_MANY_CHUNKS],
])("an answer of endless %s is broken off with its connection", async (_what, head, more, maxBytes, why) => {
  const { calling, sockets } = await call(head, sendForEver(more), maxBytes);
  await expect(calling).rejects.toMatchObject({ message: why, sent: true });
  expect(sockets).toHaveLength(1);
  await eventually(() => expect(sockets[0]?.destroyed).toBe(true));
});

it("an answer in many chunks of one byte is not taken, although it ends", async () => {
  const { calling } = await call(CHUNKED + chunks(10_000, 1) + END);
  await expect(calling).rejects.toThrow(TOO_MANY_CHUNKS);
});

it.each([
  ["behind some hints", HINTS.repeat(10) + CHUNKED + chunks(1, 5) + END, 5],
  ["in 20,000 chunks of 1 KB", CHUNKED + chunks(20_000, 1_000) + END, 20_000_000],
  ["in 4,000 chunks of one byte", CHUNKED + chunks(4_000, 1) + END, 4_000],
])("an answer %s is taken whole", async (_what, answer, bytes) => {
  const { calling } = await call(answer);
  expect((await calling).body).toHaveLength(bytes);
});

it("a packed answer behind hints is taken", async () => {
  const packed = gzipSync("a".repeat(1_000_000));
  const head = `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${packed.length}\r\n\r\n`;
  const { calling } = await call(HINTS, (socket) => {
    socket.write(head);
    socket.write(packed);
  });
  expect((await calling).body).toHaveLength(1_000_000);
});
