import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import express, { type RequestHandler } from "express";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { artifactRoutes } from "../../src/http/artifact-routes.ts";
import { beginRequest } from "../../src/http/begin-request.ts";
import { shortBody } from "../../src/http/json-body.ts";
import { mountRoutes } from "../../src/http/mount-routes.ts";
import { contentOf, Damaged } from "../../src/storage/artifact-content.ts";
import { openBucket } from "../../src/storage/bucket.ts";
import { moveOnce } from "../../src/storage/move-to-bucket.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { completed, inDatabase, storeAt, uploaded } from "../support/output-storage.ts";
import { startS3 } from "../support/s3.ts";

const { db, query } = await createTestDatabase();
const s3 = await startS3();
const MB = 1024 * 1024;

/** A bucket behind a proxy, with an artifact of so many bytes in it, and the service over both. */
async function setUp(sizeBytes: number, options = {}) {
  const { connection, proxy } = await s3.behindProxy();
  const { store } = storeAt(connection, options);
  const bytes = randomBytes(sizeBytes);
  const { artifact } = await uploaded(db, store, bytes);
  const { url, api } = await startApp(db, { store });
  const path = `/api/runtime/artifacts/${artifact.id}/content`;
  const key = `artifacts/${artifact.task_id}/${artifact.id}`;
  return { connection, proxy, store, bytes, artifact, api, path, content: url + path, key };
}

const damages = (id: string) =>
  query("select detail from audit_logs where entity_id = $1 and action = 'artifact_damaged'", [id]);

it("an artifact that is removed while it is read is gone, and nothing is said of damage", async () => {
  const { artifact } = await uploaded(db, inDatabase, Buffer.alloc(3 * MB, "\0"));
  const content = contentOf(db, inDatabase, artifact);
  const pieces = content.open(await content.verify());
  expect((await pieces.next()).done).toBe(false);
  // As retention does, for which alone the trigger allows it.
  await query(`select set_config('bloom.retention_cutoff', '99999999999999', true);
    delete from runtime_artifacts where id = '${artifact.id}';
    delete from runtime_output_chunks where output_id = '${artifact.id}'`);
  await expect(buffer(pieces)).rejects.toThrow("was removed while it was read");
  await expect(content.verify()).rejects.toMatchObject({ status: 404 });
  expect(await damages(artifact.id)).toEqual([]);
});

describe("a store that", () => {
  it("breaks the connection while an artifact is looked at is 503, and nothing is said of damage", async () => {
    const { proxy, artifact, content } = await setUp(MB);
    const before = proxy.bytesPassed();
    proxy.throttle(200_000);
    const answer = fetch(content);
    await expect.poll(proxy.bytesPassed, { timeout: 30_000 }).toBeGreaterThan(before + 50_000);
    proxy.cut();
    const { status } = await answer;
    expect([status, await damages(artifact.id)]).toEqual([503, []]);
  });

  it("breaks the connection while an artifact is sent breaks that one too", async () => {
    const { proxy, artifact, content } = await setUp(30 * MB);
    const answer = await fetch(content);
    expect(answer.status).toBe(200);
    const reader = answer.body?.getReader();
    await reader?.read();
    proxy.cut();
    await expect(
      (async () => {
        while (!(await reader?.read())?.done);
      })(),
    ).rejects.toThrow();
    expect(await damages(artifact.id)).toEqual([]);
  });

  it("hands nothing out any more is 503 after a while", async () => {
    // Longer than a busy machine stops in between: what comes slowly is not what hangs.
    const { proxy, content } = await setUp(MB, { idleMs: 2_000 });
    const before = proxy.bytesPassed();
    proxy.throttle(200_000);
    const answer = fetch(content);
    await expect.poll(proxy.bytesPassed).toBeGreaterThan(before + 50_000);
    proxy.freeze();
    expect((await answer).status).toBe(503);
  });

  it("is slow is waited for", async () => {
    const { proxy, bytes, content } = await setUp(200_000, { idleMs: 1_000 });
    // 2 s for the whole, with pauses that are shorter than what counts as hanging.
    proxy.throttle(100_000);
    const answer = await fetch(content);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it("knows another secret key is 503, and nothing is said of damage or of the key", async () => {
    const { connection, artifact } = await setUp(1_000);
    const store = { bucket: openBucket({ ...connection, secretKey: "not-the-key" }), log: pino({ level: "silent" }) };
    const { api } = await startApp(db, { store });
    const { text } = await api.get(`/api/runtime/artifacts/${artifact.id}/content`).expect(503);
    expect(text).toContain("The object store does not hand the artifact out now");
    expect(text).not.toContain("not-the-key");
    expect(await damages(artifact.id)).toEqual([]);
  });

  it("fails when an artifact that was in PostgreSQL has just been moved there is 503", async () => {
    const { proxy, store } = await setUp(1_000);
    const { artifact } = await uploaded(db, inDatabase, Buffer.alloc(1_000));
    const content = contentOf(db, store, artifact);
    expect(await moveOnce(db, store)).toBeGreaterThanOrEqual(1);
    await proxy.refuse();
    await expect(content.verify()).rejects.toMatchObject({ status: 503 });
  });

  it("has lost its bucket is 502, and gets it anew at the next use", async () => {
    const { connection, content, store } = await setUp(1_000);
    await s3.drop(connection.bucket);
    expect((await fetch(content)).status).toBe(502);
    expect((await completed(db, store, "the next")).artifact.url).toMatch(/^minio:/);
  });

  it("is away is not needed for what the row says", async () => {
    const { proxy, artifact, api, path, content } = await setUp(1_000);
    await proxy.refuse();
    const head = await fetch(content, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), head.headers.get("etag")]).toEqual([
      200,
      "1000",
      `"${artifact.sha256}"`,
    ]);
    const range = { range: "bytes=1000-" };
    expect((await fetch(content, { method: "HEAD", headers: { range: "bytes=0-9" } })).status).toBe(206);
    expect((await fetch(content, { headers: range })).status).toBe(416);
    await api.get(path).set("If-None-Match", `"${artifact.sha256}"`).expect(304);
  });
});

it("an adopted artifact without a hash is sent as it is", async () => {
  const { connection, api, bytes, artifact, key } = await setUp(1_000);
  const id = crypto.randomUUID();
  await query(
    `insert into runtime_artifacts (id, task_id, type, created_at, finalized, url) values ($1, $2, 'LLM_RESULT', 0, true, $3)`,
    [id, artifact.task_id, `minio://${connection.bucket}/${key}`],
  );
  const path = `/api/runtime/artifacts/${id}/content`;
  const { headers } = await api.get(path).buffer().expect(200);
  expect([headers.etag, headers["content-length"]]).toEqual([`"${artifact.sha256}"`, "1000"]);
  const part = await api.get(path).set("Range", "bytes=10-19").responseType("blob").expect(206);
  expect(bytes.subarray(10, 20).equals(part.body)).toBe(true);
  await api.head(path).expect(200).expect("Content-Length", "1000");
});

describe("an artifact that changes", () => {
  it("between the look at it and its sending is not sent whole", async () => {
    const { connection, store, artifact, bytes, key } = await setUp(MB);
    const content = contentOf(db, store, artifact);
    const facts = await content.verify();
    const forged = Buffer.from(bytes);
    forged.writeUInt8((forged.readUInt8(0) + 1) % 256, 0);
    await s3.client.putObject(connection.bucket, key, forged);
    let received = 0;
    const read = async () => {
      for await (const piece of content.open(facts)) received += piece.length;
    };
    await expect(read()).rejects.toThrow(Damaged);
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(bytes.length);
  });

  it("is audited once for what it has become, however often it is read", async () => {
    const { connection, artifact, content, key } = await setUp(1_000);
    const read = async () => expect((await fetch(content)).status).toBe(502);
    await s3.client.putObject(connection.bucket, key, "forged");
    for (let n = 0; n < 3; n++) await read();
    expect(await damages(artifact.id)).toHaveLength(1);
    await s3.client.removeObject(connection.bucket, key);
    for (let n = 0; n < 3; n++) await read();
    expect(await damages(artifact.id)).toHaveLength(2);
  });
});

describe("a client that", () => {
  it("leaves while an artifact is looked at ends the look", async () => {
    const { proxy, content } = await setUp(MB);
    const before = proxy.bytesPassed();
    proxy.throttle(100_000);
    const leaving = new AbortController();
    const answer = fetch(content, { signal: leaving.signal });
    await expect.poll(proxy.bytesPassed).toBeGreaterThan(before + 30_000);
    leaving.abort();
    await expect(answer).rejects.toThrow();
    // The one that is kept alive for the next request.
    await expect.poll(proxy.connections).toBeLessThanOrEqual(1);
    expect(proxy.bytesPassed()).toBeLessThan(before + MB);
  });

  it.each(["PostgreSQL", "the bucket"])("takes nothing of what is in %s is let go", async (place) => {
    const { artifact, store, proxy } =
      place === "PostgreSQL"
        ? { ...(await uploaded(db, inDatabase, randomBytes(30 * MB))), store: inDatabase, proxy: undefined }
        : await setUp(30 * MB);
    const app = express().use(beginRequest);
    const pass: RequestHandler = (_request, _response, next) => next();
    const guards = { limits: () => [], requireKey: () => pass, longBody: shortBody, formOrTextBody: () => pass };
    const routes = artifactRoutes(store, pino({ level: "silent" }), { patienceMs: 200 });
    mountRoutes(app, routes, db, ["/api"], guards);
    const server = createServer(app).listen(0, "127.0.0.1");
    await once(server, "listening");
    const left = once(server, "close");
    const request = get(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/runtime/artifacts/${artifact.id}/content`,
    );
    request.on("error", () => {});
    const [answer] = (await once(request, "response")) as [IncomingMessage];
    answer.on("error", () => {});
    // It closes when its last connection has ended.
    server.close();
    await left;
    if (proxy) await expect.poll(proxy.connections).toBeLessThanOrEqual(1);
    request.destroy();
  });
});
