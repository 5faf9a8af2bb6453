import { createHash, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { contentOf } from "../../src/storage/artifact-content.ts";
import { openBucket } from "../../src/storage/bucket.ts";
import { moveOnce } from "../../src/storage/move-to-bucket.ts";
import type { OutputStorage } from "../../src/storage/output-storage.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { inDatabase } from "../support/output-storage.ts";
import { startS3 } from "../support/s3.ts";
import { startProxy } from "../support/tcp-proxy.ts";

const { db, query } = await createTestDatabase();
const s3 = await startS3();
const connection = s3.connection();
const proxy = await startProxy(`127.0.0.1:${connection.port}`);
const log = pino({ level: "silent" });
const inBucket: OutputStorage = { bucket: openBucket({ ...connection, port: proxy.port }), log };
const apps = {
  PostgreSQL: await startApp(db, { env: { MAX_OUTPUT_MB: "40" } }),
  "the bucket": await startApp(db, { store: inBucket, env: { MAX_OUTPUT_MB: "40" } }),
};
const TASKS = "/api/runtime/llm-tasks";
const ARTIFACTS = "/api/runtime/artifacts";
type App = (typeof apps)["PostgreSQL"];

async function anArtifact({ api }: App, output: string | null, task = {}) {
  const { task: made, lease } = await aLeasedTask(db, { task });
  const body = { status: "success", output, metrics: { duration_ms: 1 } };
  const { body: answer } = await api
    .post(`${TASKS}/${made.id}/complete`)
    .set("X-Lease-Id", lease.id)
    .send(body)
    .expect(200);
  return answer.artifact;
}

/** An output that is uploaded, and the completion that names it. */
async function anUpload({ api, url }: App, bytes: Buffer, task = {}) {
  const { task: made, lease } = await aLeasedTask(db, { task });
  const uploaded = await fetch(`${url}${TASKS}/${made.id}/output`, {
    method: "PUT",
    headers: { "X-Lease-Id": lease.id },
    body: new Uint8Array(bytes),
  });
  expect(uploaded.status).toBe(201);
  const { output_id, ...facts } = (await uploaded.json()) as Record<string, unknown>;
  const body = { status: "success", output_id, metrics: { duration_ms: 1 }, lease_id: lease.id };
  const complete = () => api.post(`${TASKS}/${made.id}/complete`).send(body);
  return { task: made, lease, facts, complete };
}

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

describe.each(Object.entries(apps))("an artifact in %s", (place, app) => {
  const text = "0123456789 — гей";
  const whole = Buffer.from(text);

  it("is shown by its id, and is 404 for any other", async () => {
    const artifact = await anArtifact(app, text);
    expect((await app.api.get(`${ARTIFACTS}/${artifact.id}`).expect(200)).body).toEqual(artifact);
    for (const id of [randomUUID(), "..%2f..%2fetc%2fpasswd", "claude-mem.db", "%00"])
      for (const part of ["", "/content", "/url"]) await app.api.get(`${ARTIFACTS}/${id}${part}`).expect(404);
  });

  it("is sent as it is, and no browser runs anything of it", async () => {
    const html = "<script>alert(document.cookie)</script>";
    const artifact = await anArtifact(app, html);
    const response = await fetch(`${app.url}${ARTIFACTS}/${artifact.id}/content`);
    expect(await response.text()).toBe(html);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(html.length),
      etag: `"${artifact.sha256}"`,
      "content-disposition": `attachment; filename="${artifact.id}.txt"`,
      "content-security-policy": "default-src 'none'; sandbox",
      "x-content-type-options": "nosniff",
    });
  });

  it.each([
    ["bytes=0-3", 206, whole.subarray(0, 4), "bytes 0-3/21"],
    ["bytes=11-", 206, whole.subarray(11), "bytes 11-20/21"],
    ["bytes=-4", 206, whole.subarray(-4), "bytes 17-20/21"],
    ["bytes=20-99", 206, whole.subarray(20), "bytes 20-20/21"],
    ["bytes=21-", 416, Buffer.from(""), "bytes */21"],
    ["bytes=0-1,5-6", 200, whole, null],
    ["lines=1-2", 200, whole, null],
    ["bytes=x", 200, whole, null],
  ])("answers Range: %s with %i", async (range, status, expected, said) => {
    const artifact = await anArtifact(app, text);
    const response = await fetch(`${app.url}${ARTIFACTS}/${artifact.id}/content`, { headers: { range } });
    expect([response.status, response.headers.get("content-range"), await bytesOf(response)]).toEqual([
      status,
      said,
      expected,
    ]);
  });

  it("is not sent again to who has it, and whole to who had another", async () => {
    const artifact = await anArtifact(app, text);
    const path = `${ARTIFACTS}/${artifact.id}/content`;
    const [this_, other] = [`"${artifact.sha256}"`, '"other"'];
    await app.api.get(path).set("If-None-Match", this_).expect(304);
    await app.api.get(path).set("If-None-Match", other).expect(200);
    await app.api.get(path).set({ Range: "bytes=0-3", "If-Range": this_ }).expect(206);
    await app.api.get(path).set({ Range: "bytes=0-3", "If-Range": other }).expect(200);
    const { text: none } = await app.api.head(path).expect(200).expect("Content-Length", "21");
    expect(none).toBeUndefined();
  });

  it("without an output has no content", async () => {
    const { id } = await anArtifact(app, null);
    await app.api.get(`${ARTIFACTS}/${id}/content`).expect(404);
    expect(await anArtifact(app, "")).toMatchObject({ size_bytes: 0 });
  });

  it("that is empty is sent as nothing", async () => {
    const { id } = await anArtifact(app, "");
    const response = await fetch(`${app.url}${ARTIFACTS}/${id}/content`, { headers: { range: "bytes=0-3" } });
    expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([200, "0", ""]);
  });

  it("may be uploaded, of any size and any bytes, and is completed once", async () => {
    const bytes = randomBytes(12 * 1024 * 1024);
    const { facts, complete } = await anUpload(app, bytes, { desired_format: "json" });
    expect(facts).toEqual({ size_bytes: bytes.length, sha256: sha256(bytes) });
    const { artifact, result } = (await complete().expect(200)).body;
    expect(artifact).toMatchObject({ content: null, ...facts, content_type: "application/octet-stream" });
    expect(result.output).toBeNull();
    expect((await complete().expect(200)).body.artifact).toEqual(artifact);
    const response = await fetch(`${app.url}${ARTIFACTS}/${artifact.id}/content`);
    expect(sha256(await bytesOf(response))).toBe(facts.sha256);
    const part = await fetch(`${app.url}${ARTIFACTS}/${artifact.id}/content`, {
      headers: { range: "bytes=6000000-7999999" },
    });
    expect((await bytesOf(part)).equals(bytes.subarray(6_000_000, 8_000_000))).toBe(true);
    const pieces = await query("select 1 from runtime_output_chunks where output_id = $1", [artifact.id]);
    expect(pieces.length > 0).toBe(place === "PostgreSQL");
  });

  it("that is a small text may be uploaded too", async () => {
    const { complete } = await anUpload(app, whole);
    const { artifact, result } = (await complete().expect(200)).body;
    const content = place === "PostgreSQL" ? text : null;
    expect([artifact.content, result.output]).toEqual([content, content]);
    expect(await query("select 1 from runtime_output_chunks where output_id = $1", [artifact.id])).toEqual([]);
  });
});

describe("an upload", () => {
  const { api, url } = apps.PostgreSQL;
  const put = (taskId: string, headers: Record<string, string>, body: RequestInit["body"] = "x") =>
    fetch(`${url}${TASKS}/${taskId}/output`, { method: "PUT", headers, body, duplex: "half" } as RequestInit);

  it("stands under the lease's fence", async () => {
    const { task, lease } = await aLeasedTask(db);
    const other = await aLeasedTask(db);
    expect((await put(randomUUID(), {})).status).toBe(404);
    for (const stale of [randomUUID(), "no-uuid", other.lease.id])
      expect((await put(task.id, { "x-lease-id": stale })).status).toBe(409);
    const { output_id } = (await (await put(task.id, {})).json()) as { output_id: string };
    const body = { status: "success", output_id, metrics: { duration_ms: 1 } };
    await api.post(`${TASKS}/${other.task.id}/complete`).send(body).expect(409);
    await api
      .post(`${TASKS}/${task.id}/complete`)
      .send({ ...body, output: "and this" })
      .expect(400);
    await api
      .post(`${TASKS}/${task.id}/complete`)
      .send({ ...body, output_id: randomUUID() })
      .expect(409);
    await api
      .post(`${TASKS}/${task.id}/complete`)
      .send({ ...body, lease_id: lease.id })
      .expect(200);
    expect((await put(task.id, { "x-lease-id": lease.id })).status).toBe(409);
    expect((await put(task.id, {})).status).toBe(409);
  });

  it("takes the place of an earlier one under the same lease", async () => {
    const { task, lease } = await aLeasedTask(db);
    const upload = async (body: string) =>
      (await (await put(task.id, { "x-lease-id": lease.id }, body)).json()) as { output_id: string };
    const first = await upload("first");
    const slow = httpRequest(`${url}${TASKS}/${task.id}/output`, { method: "PUT" });
    const refused = once(slow, "response");
    const staged = () => query<{ id: string }>("select id from runtime_staged_outputs where task_id = $1", [task.id]);
    slow.write(Buffer.alloc(300_000));
    await expect.poll(async () => (await staged()).filter(({ id }) => id !== first.output_id)).toHaveLength(1);
    const last = await upload("last");
    expect(await staged()).toEqual([{ id: last.output_id }]);
    slow.end(Buffer.alloc(300_000));
    expect((await refused)[0]).toHaveProperty("statusCode", 409);
    const pieces = "select distinct output_id as id from runtime_output_chunks join llm_tasks on llm_tasks.id = $1";
    const held = (await query<{ id: string }>(pieces, [task.id])).map(({ id }) => id);
    expect(held).toContain(last.output_id);
    expect(held).not.toContain(first.output_id);
    const body = { status: "success", metrics: { duration_ms: 1 }, lease_id: lease.id };
    const complete = (output_id: string) => api.post(`${TASKS}/${task.id}/complete`).send({ ...body, output_id });
    await complete(first.output_id).expect(409);
    await complete(last.output_id).expect(200);
  });

  it("that says how large it is, and is too large, is refused before it is sent", async () => {
    const { task } = await aLeasedTask(db);
    const headers = { "content-length": 40 * 1024 * 1024 + 1 };
    const request = httpRequest(`${url}${TASKS}/${task.id}/output`, { method: "PUT", headers });
    request.on("error", () => {}).flushHeaders();
    const [response] = await once(request, "response");
    expect(response.statusCode).toBe(413);
    request.destroy();
    expect(await query("select 1 from runtime_staged_outputs where task_id = $1", [task.id])).toEqual([]);
  });

  it("that is compressed is refused", async () => {
    const { task } = await aLeasedTask(db);
    expect((await put(task.id, { "content-encoding": "gzip" })).status).toBe(415);
  });

  it("that is too large, or is cut off, is refused, and nothing of it is left", async () => {
    const { task } = await aLeasedTask(db);
    const response = await put(task.id, {}, Buffer.alloc(41 * 1024 * 1024));
    expect([response.status, await response.json()]).toEqual([
      413,
      { error: expect.stringContaining("MAX_OUTPUT_MB") },
    ]);
    const cut = httpRequest(`${url}${TASKS}/${task.id}/output`, { method: "PUT" });
    const ended = once(cut, "error");
    cut.write(Buffer.alloc(600_000));
    const pieces = () =>
      query("select 1 from runtime_output_chunks join runtime_staged_outputs on id = output_id where task_id = $1", [
        task.id,
      ]);
    await expect.poll(async () => (await pieces()).length).toBeGreaterThan(0);
    cut.destroy(new Error("cut off"));
    await ended;
    await expect.poll(() => query("select 1 from runtime_staged_outputs where task_id = $1", [task.id])).toEqual([]);
  });
});

describe("reading from the bucket", () => {
  const app = apps["the bucket"];
  const keyOf = ({ task_id, id }: { task_id: string; id: string }) => `artifacts/${task_id}/${id}`;
  const audited = (id: string) => query("select action, actor, detail from audit_logs where entity_id = $1", [id]);

  it("finds a damaged object, and a vanished one: 502, and audited", async () => {
    const damaged = await anArtifact(app, "as it was stored");
    await s3.client.putObject(connection.bucket, keyOf(damaged), "as it was forged");
    const vanished = await anArtifact(app, "soon gone");
    await s3.client.removeObject(connection.bucket, keyOf(vanished));
    for (const { id } of [damaged, vanished]) {
      const { body } = await app.api.get(`${ARTIFACTS}/${id}/content`).expect(502);
      expect(body).toEqual({ error: expect.stringMatching(/^The artifact is damaged: .*\.$/) });
      expect(await audited(id)).toEqual([expect.objectContaining({ action: "artifact_damaged", actor: "runtime" })]);
    }
  });

  it("is 503 while the store does not answer, and nothing is said of damage", async () => {
    const { id } = await anArtifact(app, "still there");
    await proxy.refuse();
    onTestFinished(proxy.accept);
    await app.api.get(`${ARTIFACTS}/${id}/content`).expect(503);
    expect(await audited(id)).toEqual([]);
  });

  it("gives an address that works without a key for its time only", async () => {
    const artifact = await anArtifact(app, "for everybody");
    const { body } = await app.api.get(`${ARTIFACTS}/${artifact.id}/url?expires_seconds=60`).expect(200);
    expect(body.expires_seconds).toBe(60);
    const response = await fetch(body.url);
    expect([response.status, await response.text()]).toEqual([200, "for everybody"]);
    expect(response.headers.get("content-disposition")).toBe(`attachment; filename="${artifact.id}.txt"`);
    expect((await fetch(body.url.replace(artifact.id, randomUUID()))).status).toBe(403);
    expect((await app.api.get(`${ARTIFACTS}/${artifact.id}/url`).expect(200)).body.expires_seconds).toBe(3_600);
    for (const wrong of ["0", "604801", "-1", "1.5", "x"])
      await app.api.get(`${ARTIFACTS}/${artifact.id}/url?expires_seconds=${wrong}`).expect(400);
    expect(JSON.stringify(app.logged)).not.toContain("X-Amz-Signature");
  });

  it("has no address for what lies in PostgreSQL, and none for another bucket", async () => {
    const here = await anArtifact(apps.PostgreSQL, "here");
    await app.api.get(`${ARTIFACTS}/${here.id}/url`).expect(409);
    const there = await anArtifact(app, "there");
    await apps.PostgreSQL.api.get(`${ARTIFACTS}/${there.id}/url`).expect(409);
    await apps.PostgreSQL.api.get(`${ARTIFACTS}/${there.id}/content`).expect(409);
  });

  it("goes on there when the output is moved while it is read", async () => {
    const bytes = randomBytes(12 * 1024 * 1024);
    const { complete } = await anUpload(apps.PostgreSQL, bytes);
    const { artifact } = (await complete().expect(200)).body;
    const content = contentOf(db, inBucket, artifact);
    const read: Buffer[] = [];
    for await (const piece of content.open(await content.verify())) {
      if (read.length === 2) await moveOnce(db, inBucket);
      read.push(piece);
    }
    expect(sha256(Buffer.concat(read))).toBe(artifact.sha256);
    const moved = (await app.api.get(`${ARTIFACTS}/${artifact.id}`)).body;
    expect(moved.url).toMatch(/^minio:/);
    expect((await content.verify()).sha256).toBe(artifact.sha256);
    expect(() => contentOf(db, inDatabase, moved)).toThrow("not in the bucket");
  });
});

describe("the database", () => {
  it("keeps a finalized artifact as it is; only its bytes may move into the bucket", async () => {
    const { id, task_id } = await anArtifact(apps.PostgreSQL, "for ever");
    const bytes = randomBytes(11 * 1024 * 1024);
    const large = (await (await anUpload(apps.PostgreSQL, bytes)).complete().expect(200)).body.artifact;
    for (const statement of [
      `update runtime_artifacts set tags = '["forged"]' where id = '${id}'`,
      `update runtime_artifacts set url = 'https://elsewhere/${id}', content = null where id = '${id}'`,
      `update runtime_artifacts set url = 'minio://b/artifacts/${task_id}/${id}' where id = '${id}'`,
      `update runtime_artifacts set url = 'minio://b/artifacts/${task_id}/${id}', content = null, sha256 = 'x' where id = '${id}'`,
      `delete from runtime_artifacts where id = '${id}'`,
      `delete from runtime_output_chunks where output_id = '${large.id}'`,
      `update runtime_output_chunks set data = '' where output_id = '${large.id}'`,
      `insert into runtime_output_chunks (output_id, seq, data) values ('${large.id}', 1000000, 'more')`,
      `insert into runtime_output_chunks (output_id, seq, data) values ('${id}', 0, 'more')`,
      "truncate runtime_artifacts",
      "truncate runtime_output_chunks",
    ])
      await expect(query(statement), statement).rejects.toThrow("rows are immutable");
  });
});
