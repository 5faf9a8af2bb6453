/** What an object store sends that is no object is bounded in bytes and time, whatever the S3 client would read of it. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { expect, it } from "vitest";
import { archiveKey } from "../../src/storage/artifact-key.ts";
import { openBucket } from "../../src/storage/bucket.ts";
import { transport } from "../../src/storage/s3-transport.ts";
import { eventually } from "../support/eventually.ts";
import { sendForEver, startRawServer } from "../support/raw-server.ts";

const head = (status: string) => `HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`;
const MB = 1_000_000;
const KEY = archiveKey("a.jsonl.gz");
const BODY = { body: [Buffer.from("a")], sizeBytes: 1, sha256: "a".repeat(64), contentType: "text/plain" };
const LISTED = `${head("200 OK")}<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`;
/** More than what the systems on both sides keep for a reader that reads no more. */
const KEPT = 10 * MB;

const ended = (bytes: string) => (socket: Socket) => void socket.end(bytes);

/** Sends the bytes, one each 10 ms, and this byte for ever after them. */
const dribble = (bytes: string, last: string) => (socket: Socket) => {
  let sent = 0;
  const timer = setInterval(() => socket.write(bytes[sent++] ?? last), 10);
  socket.on("close", () => clearInterval(timer));
};

/** A bucket at a store that answers one connection after the other so. */
async function bucketAt(...answers: ((socket: Socket) => void)[]) {
  const { port, sockets } = await startRawServer("", (socket) => answers.shift()?.(socket));
  const keys = { accessKey: "a", secretKey: "b" };
  const connection = { endPoint: "127.0.0.1", port, useSSL: false, region: "us-east-1", bucket: "bloom", ...keys };
  return { bucket: openBucket(connection, { callMs: 500 }), sockets };
}

async function ask(method: string, path: string, bytes: string) {
  const { port } = await startRawServer("", ended(bytes));
  const made = transport(false, { idleMs: 10_000, answerMs: 10_000 }, () => {})
    .request({ host: "127.0.0.1", port, method, path })
    .end();
  const [answer] = await once(made, "response");
  // The request hears of the fault as well as its answer.
  made.on("error", () => {});
  return buffer(answer);
}

it.each([
  ["a listing", "GET", "/bloom?list-type=2", "200 OK"],
  ["an error instead of an object", "GET", "/bloom/a", "403 Forbidden"],
  ["the answer to a PUT", "PUT", "/bloom/a", "200 OK"],
  ["the answer to a DELETE", "DELETE", "/bloom/a", "200 OK"],
])("%s may have 64 KB and no more", async (_what, method, path, status) => {
  const most = 64 * 1024;
  expect(await ask(method, path, head(status) + "a".repeat(most))).toHaveLength(most);
  await expect(ask(method, path, head(status) + "a".repeat(most + 1))).rejects.toThrow(
    "its answer has more than 64 KB, which no S3 store sends here. Check MINIO_ENDPOINT",
  );
});

it.each(["200 OK", "206 Partial Content"])("an object in an answer %s is read whole", async (status) => {
  expect(await ask("GET", "/bloom/a", head(status) + "a".repeat(MB))).toHaveLength(MB);
});

it("an endless answer to an upload that was stored is not read on", async () => {
  const flood = sendForEver("a".repeat(MB / 10));
  const { bucket, sockets } = await bucketAt(ended(LISTED), ended(LISTED), (socket) => {
    socket.write(head("200 OK"));
    flood(socket);
  });
  await bucket.put(KEY, BODY, {});
  await eventually(() => expect(sockets[2]?.destroyed).toBe(true));
  expect(sockets[2]?.bytesWritten).toBeLessThan(KEPT);
});

it("a slow answer to an upload that was stored keeps no connection", async () => {
  const { bucket, sockets } = await bucketAt(ended(LISTED), ended(LISTED), (socket) => {
    socket.write(head("200 OK"));
    dribble("", "a")(socket);
  });
  await bucket.put(KEY, BODY, {});
  await eventually(() => expect(sockets[2]?.destroyed).toBe(true));
});

it("a check ends whose answer never comes whole, and the next use checks again", async () => {
  const { bucket, sockets } = await bucketAt(dribble("HTTP/1.1 200 OK\r\na: ", "a"), ended(LISTED), ended(LISTED));
  await expect(bucket.checkOwn()).rejects.toThrow("not checked within 0.5 s");
  await eventually(() => expect(sockets[0]?.destroyed).toBe(true));
  await bucket.checkOwn();
});

it("a removal ends whose answer never comes whole", async () => {
  const { bucket, sockets } = await bucketAt(
    ended(LISTED),
    ended(LISTED),
    dribble("HTTP/1.1 204 No Content\r\na: ", "a"),
  );
  await expect(bucket.remove(KEY)).rejects.toThrow("not removed within 0.5 s");
  await eventually(() => expect(sockets[2]?.destroyed).toBe(true));
});
