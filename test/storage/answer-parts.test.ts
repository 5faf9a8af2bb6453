import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { expect, it } from "vitest";
import { openBucket } from "../../src/storage/bucket.ts";
import { transport } from "../../src/storage/s3-transport.ts";
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

/** The bytes that a store's answer has, for a request that it answers so. */
async function ask(bytes: string, onEach?: (socket: Socket) => void) {
  const { port } = await startRawServer(bytes, onEach);
  const made = transport(false, { idleMs: 10_000, answerMs: 10_000 }, () => {})
    .request({ host: "127.0.0.1", port, method: "GET", path: "/bloom/a" })
    .end();
  const [answer]: Readable[] = await once(made, "response");
  // The request hears of the fault as well as its answer.
  made.on("error", () => {});
  if (!answer) throw new Error("No answer came.");
  return buffer(answer);
}

it.each([
  ["103 Early Hints", "", HINTS.repeat(1_000), TOO_MANY_HINTS],
  ["chunks of one byte", CHUNKED, chunks(1_000, 1), TOO_MANY_CHUNKS],
])("a store's answer of endless %s is broken off", async (_what, head, more, why) => {
  await expect(ask(head, sendForEver(more))).rejects.toThrow(why);
});

it("a store's answer behind some hints and in chunks of 1 KB is taken whole", async () => {
  expect(await ask(`${HINTS.repeat(10)}${CHUNKED}${chunks(20_000, 1_000)}${END}`)).toHaveLength(20_000_000);
});

it("a bucket says so", async () => {
  const { port } = await startRawServer("", sendForEver(HINTS.repeat(1_000)));
  const keys = { accessKey: "a", secretKey: "b" };
  const bucket = openBucket({ endPoint: "127.0.0.1", port, useSSL: false, region: "", bucket: "bloom", ...keys });
  await expect(bucket.checkOwn()).rejects.toThrow("informational answers");
});
