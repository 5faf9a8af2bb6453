import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { expect, it } from "vitest";
import { openBucket } from "../../src/storage/bucket.ts";
import { transport } from "../../src/storage/s3-transport.ts";
import { sendForEver, startRawServer } from "../support/raw-server.ts";

const HINTS = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
const chunks = (count: number, bytes: number) => `${bytes.toString(16)}\r\n${"a".repeat(bytes)}\r\n`.repeat(count);

/** The bytes that a store's answer has, for a request that it answers so. */
async function ask(bytes: string, onEach?: (socket: Socket) => void) {
  const { port } = await startRawServer(bytes, onEach);
  const made = transport(false, 10_000, () => {})
    .request({ host: "127.0.0.1", port })
    .end();
  const [answer]: Readable[] = await once(made, "response");
  // The request hears of the fault as well as its answer.
  made.on("error", () => {});
  if (!answer) throw new Error("No answer came.");
  return buffer(answer);
}

it.each([
  ["103 Early Hints", "", HINTS.repeat(1_000), "it sent more than 10 informational answers (1xx) before its answer"],
  ["chunks of one byte", CHUNKED, chunks(1_000, 1), "its answer comes in too many chunks of a few bytes"],
])("a store's answer of endless %s is broken off", async (_what, head, more, why) => {
  await expect(ask(head, sendForEver(more))).rejects.toThrow(why);
});

it("a store's answer behind some hints and in chunks of 1 KB is taken whole", async () => {
  expect(await ask(`${HINTS.repeat(10)}${CHUNKED}${chunks(20_000, 1_000)}0\r\n\r\n`)).toHaveLength(20_000_000);
});

it("a bucket says so", async () => {
  const { port } = await startRawServer("", sendForEver(HINTS.repeat(1_000)));
  const keys = { accessKey: "a", secretKey: "b" };
  const bucket = openBucket({ endPoint: "127.0.0.1", port, useSSL: false, region: "", bucket: "bloom", ...keys });
  await expect(bucket.checkOwn()).rejects.toThrow("informational answers");
});
