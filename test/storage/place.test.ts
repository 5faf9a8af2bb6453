import { Readable } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import type { Db } from "../../src/db/client.ts";
import type { ArtifactRow } from "../../src/db/row-types.ts";
import { StartError } from "../../src/errors.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { sha256Of } from "../../src/sha256.ts";
import { artifactKey, keyIn } from "../../src/storage/artifact-key.ts";
import { openBucket } from "../../src/storage/bucket.ts";
import { moveOnce } from "../../src/storage/move-to-bucket.ts";
import type { OutputStorage } from "../../src/storage/output-storage.ts";
import { stageUpload } from "../../src/storage/staging.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, completion } from "../support/factories.ts";
import { completed, inDatabase, type StoreOptions, storeAt } from "../support/output-storage.ts";
import { type Connection, startS3 } from "../support/s3.ts";
import { startS3Trouble, startStrictS3 } from "../support/s3-trouble.ts";

const { db, query } = await createTestDatabase();
const s3 = await startS3();
const OUTPUT = "Ein Samen hält den Atem an.";

const complete = (store: OutputStorage, fields = {}, task = {}) => completed(db, store, OUTPUT, fields, task);

const SOON = { withinMs: 10_000 };
const aKey = () => artifactKey(crypto.randomUUID(), crypto.randomUUID());
const anUpload = () => ({ body: [Buffer.from("x")], sizeBytes: 1, sha256: sha256Of("x"), contentType: "text/plain" });

const rowOf = async (id: string) =>
  (await query<ArtifactRow>("select * from runtime_artifacts where id = $1", [id])).at(0);

describe("an output", () => {
  it.each([
    ["text", "text/plain; charset=utf-8"],
    ["json", "application/json"],
  ])(
    "of format %s goes into the bucket, and its artifact says where, how large and what it is",
    async (desired_format, type) => {
      const connection = s3.connection();
      const { artifact, result, task } = await complete(storeAt(connection).store, {}, { desired_format });
      const key = `artifacts/${task.id}/${artifact.id}`;
      expect(artifact).toMatchObject({
        url: `minio://${connection.bucket}/${key}`,
        content: null,
        size_bytes: Buffer.byteLength(OUTPUT),
        sha256: sha256Of(OUTPUT),
        content_type: type,
      });
      expect(result.output).toBe(OUTPUT);
      expect(await s3.keys(connection.bucket)).toEqual([key]);
      expect(await s3.read(connection.bucket, key)).toBe(OUTPUT);
      expect((await s3.client.statObject(connection.bucket, key)).metaData["content-type"]).toBe(type);
      expect(await query("select * from runtime_staged_outputs where id = $1", [artifact.id])).toEqual([]);
    },
  );

  it("that a CLI printed goes there as a transcript beside the result, sent or uploaded", async () => {
    const printed = `{"type":"result","subtype":"success","result":"${OUTPUT}"}\n`;
    for (const isUploaded of [false, true]) {
      const connection = s3.connection();
      const { store } = storeAt(connection);
      const { task, lease } = await aLeasedTask(db, { task: { keep_transcript: true, desired_format: "json" } });
      const upload = () =>
        stageUpload(db, { taskId: task.id, leaseId: lease.id }, Readable.from([Buffer.from(printed)]), 1_000);
      const output = isUploaded ? { output: null, output_id: (await upload()).id } : { output: printed };
      const request = completion({ ...output, cli: "claude", exit_code: 0, lease_id: lease.id });
      const { result } = await completeTask(db, NOBODY, store, task.id, request);
      expect(result.output).toBe(OUTPUT);
      const artifacts = await query<ArtifactRow>(
        "select * from runtime_artifacts where task_id = $1 order by type desc",
        [task.id],
      );
      const types = ["text/plain; charset=utf-8", "application/json"];
      expect(artifacts.map(({ content_type }) => content_type)).toEqual(types);
      const keys = artifacts.map(({ id }) => `artifacts/${task.id}/${id}`);
      expect(artifacts.map(({ url }) => url)).toEqual(keys.map((key) => `minio://${connection.bucket}/${key}`));
      expect(await Promise.all(keys.map((key) => s3.read(connection.bucket, key)))).toEqual([printed, OUTPUT]);
      expect(await query("select id from runtime_staged_outputs where task_id = $1", [task.id])).toEqual([]);
    }
  });

  it("needs no transaction of its own to be completed, in the bucket or not, uploaded before or not", async () => {
    const { store } = storeAt(s3.connection());
    const withoutTransactions: Db = Object.assign(Object.create(db), {
      transaction: () => Promise.reject(new Error("a transaction was begun")),
    });
    for (const each of [store, inDatabase]) {
      const plain = await aLeasedTask(db);
      const sent = await completeTask(withoutTransactions, NOBODY, each, plain.task.id, completion({ output: OUTPUT }));
      expect(sent.result.output).toBe(OUTPUT);
      const { task, lease } = await aLeasedTask(db);
      const { id } = await stageUpload(
        db,
        { taskId: task.id, leaseId: lease.id },
        Readable.from([Buffer.from(OUTPUT)]),
        100,
      );
      const request = completion({ output: null, output_id: id });
      const { artifact, result } = await completeTask(withoutTransactions, NOBODY, each, task.id, request);
      expect(result.output).toBe(each === store ? null : OUTPUT);
      expect(artifact).toMatchObject({ id, size_bytes: Buffer.byteLength(OUTPUT), sha256: sha256Of(OUTPUT) });
      const left = await query(
        "select id from runtime_staged_outputs union select output_id from runtime_output_chunks",
      );
      expect(left).toEqual([]);
    }
    // What stayed in PostgreSQL is no other test's to find.
    expect(await moveOnce(db, store)).toBe(2);
  });

  it("that is not there leaves nothing anywhere", async () => {
    const connection = s3.connection();
    const { store } = storeAt(connection);
    const { artifact } = await complete(store, { output: null, status: "error", error_message: "no CLI" });
    expect(artifact).toMatchObject({ url: null, content: null, size_bytes: null, sha256: null });
    expect(await moveOnce(db, store)).toBe(0);
  });

  it("without a bucket stays in PostgreSQL, and is moved when there is one", async () => {
    const { artifact } = await complete(inDatabase);
    expect(artifact).toMatchObject({ url: null, content: OUTPUT, size_bytes: Buffer.byteLength(OUTPUT) });
    const connection = s3.connection();
    expect(await moveOnce(db, storeAt(connection).store)).toBe(1);
    expect(await rowOf(artifact.id)).toMatchObject({
      url: expect.stringMatching(/^minio:/),
      content: null,
      sha256: artifact.sha256,
    });
    expect(await s3.read(connection.bucket, `artifacts/${artifact.task_id}/${artifact.id}`)).toBe(OUTPUT);
  });

  it("is moved once, however many move it", async () => {
    for (let n = 0; n < 20; n++) await complete(inDatabase, { output: `output ${n}` });
    const connection = s3.connection();
    const stores = [storeAt(connection).store, storeAt(connection).store, storeAt(connection).store];
    const moved = await Promise.all(stores.map((store) => moveOnce(db, store)));
    expect(moved.reduce((sum, one) => sum + one)).toBe(20);
    expect(await s3.keys(connection.bucket)).toHaveLength(20);
  });
});

/** Ways in which an object store fails, each with how it is made and how it is mended. */
interface Trouble {
  connection: Connection;
  options?: StoreOptions;
  mend(): Promise<unknown>;
}
const TROUBLES: Record<string, () => Promise<Trouble>> = {
  "refuses connections": async () => {
    const { connection, proxy } = await s3.behindProxy();
    await proxy.refuse();
    return { connection, mend: proxy.accept };
  },
  hangs: async () => {
    const { connection, proxy } = await s3.behindProxy();
    proxy.freeze();
    return { connection, options: { idleMs: 200 }, mend: async () => proxy.thaw() };
  },
  "is too slow": async () => {
    const { connection, proxy } = await s3.behindProxy();
    proxy.throttle(2_000);
    return { connection, options: { uploadWithinMs: 200 }, mend: async () => proxy.throttle(0) };
  },
  "breaks the connection midway": async () => {
    const { connection, proxy } = await s3.behindProxy();
    proxy.delay(50);
    const cutting = setInterval(proxy.cut, 20);
    onTestFinished(() => clearInterval(cutting));
    const mend = async () => {
      clearInterval(cutting);
      proxy.delay(0);
    };
    return { connection, mend };
  },
  "knows another secret key": async () => {
    const connection = s3.connection();
    return { connection: { ...connection, secretKey: "not-the-key" }, mend: async () => {} };
  },
  "is full": async () => {
    const connection = s3.connection();
    const trouble = await startS3Trouble(connection.port);
    trouble.refuseUploads({ status: 507, code: "XMinioStorageFull" });
    return { connection: { ...connection, port: trouble.port }, mend: async () => trouble.refuseUploads(undefined) };
  },
  "finds its clock too far from ours": async () => {
    const connection = s3.connection();
    const trouble = await startS3Trouble(connection.port);
    trouble.refuseUploads({ status: 403, code: "RequestTimeTooSkewed" });
    return { connection: { ...connection, port: trouble.port }, mend: async () => trouble.refuseUploads(undefined) };
  },
  "has lost the bucket under way": async () => {
    const connection = s3.connection();
    return { connection, mend: async () => {} };
  },
};

describe("an object store that", () => {
  it.each(Object.entries(TROUBLES))("%s fails no completion, and gets the output later", async (name, make) => {
    const { connection, options, mend } = await make();
    const { store, logged } = storeAt(connection, options);
    if (name.startsWith("has lost")) {
      await complete(store);
      await s3.drop(connection.bucket);
    }
    const { artifact, task, result } = await complete(store);
    expect([task.status, result.output]).toEqual(["completed", OUTPUT]);
    expect(artifact).toMatchObject({ url: null, content: OUTPUT, sha256: sha256Of(OUTPUT) });
    expect(logged.join()).toContain("the object store failed");
    expect(logged.join()).not.toContain("Signature=");

    await mend();
    // A new instance, as the one that failed too often rests for a while.
    const { accessKey, secretKey } = s3.connection();
    const healed = storeAt({ ...connection, accessKey, secretKey }).store;
    expect(await moveOnce(db, healed)).toBeGreaterThan(0);
    const url = `minio://${connection.bucket}/artifacts/${task.id}/${artifact.id}`;
    expect(await rowOf(artifact.id)).toMatchObject({ url, content: null });
    expect(await s3.read(connection.bucket, `artifacts/${task.id}/${artifact.id}`)).toBe(OUTPUT);
  });

  it("has failed five times in a row is left alone, and asked again after a while", async () => {
    const { connection, proxy } = await s3.behindProxy();
    await proxy.refuse();
    const { store, logged } = storeAt(connection, { pauseMs: 2_000 });
    for (let n = 0; n < 6; n++) await complete(store);
    expect(logged.at(-1)).toContain("it failed too often lately");
    await proxy.accept();
    await expect.poll(async () => (await complete(store)).artifact.url).toMatch(/^minio:/);
  });
});

describe("a store of its own mind", () => {
  it("is used in its region, which MINIO_REGION names, and says which that is", async () => {
    const { port } = await startStrictS3({ region: "garage" });
    const connection = { ...s3.connection(), port };
    const sentence = "the object store takes requests for another region only. Set MINIO_REGION to garage";
    await expect(openBucket(connection).checkOwn()).rejects.toThrow(sentence);
    const bucket = openBucket({ ...connection, region: "garage" });
    await bucket.checkOwn();
    await bucket.put(aKey(), anUpload(), SOON);
  });

  it.each([
    [1_800_000, "the clock of this machine is 30 min behind that of the object store"],
    [-7_200_000, "the clock of this machine is 120 min ahead of that of the object store"],
  ])("with a clock that is %i ms ahead says that the clocks differ, and by how much", async (ms, sentence) => {
    const { port } = await startStrictS3({ clockMs: () => Date.now() + ms });
    await expect(openBucket({ ...s3.connection(), port }).checkOwn()).rejects.toThrow(sentence);
  });
});

describe("an upload", () => {
  it("that is given up for its time is stopped, and counts as a failure", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const { store, logged } = storeAt(connection, { uploadWithinMs: 100 });
    await store.bucket?.checkOwn();
    proxy.throttle(2_000);
    for (let n = 0; n < 6; n++) await complete(store);
    expect(logged[0]).toContain("not stored within 0.1 s");
    expect(logged.at(-1)).toContain("it failed too often lately");
  });

  it("that is given up closes its connection and what it reads from", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const bucket = openBucket(connection);
    await bucket.checkOwn();
    proxy.throttle(2_000);
    let isClosed = false;
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(64 * 1024);
      } finally {
        isClosed = true;
      }
    }
    const upload = { ...anUpload(), body: endless(), sizeBytes: 2 ** 40 };
    await expect(bucket.put(aKey(), upload, { withinMs: 100 })).rejects.toThrow("not stored within 0.1 s");
    expect(isClosed).toBe(true);
    proxy.throttle(0);
    // The one that is kept alive for the next request.
    await expect.poll(proxy.connections).toBeLessThanOrEqual(1);
  });

  it.each([429, 500, 502, 503, 504])("that is answered with %i leaves no connection behind", async (status) => {
    const connection = s3.connection();
    const trouble = await startS3Trouble(connection.port);
    const { store } = storeAt({ ...connection, port: trouble.port });
    await store.bucket?.checkOwn();
    trouble.refuseUploads({ status, code: "SlowDown" });
    for (let n = 0; n < 4; n++) expect((await complete(store)).artifact.url).toBeNull();
    await expect.poll(trouble.connections).toBeLessThanOrEqual(1);
  });
});

describe("the two memory layers", () => {
  it.each([
    ["projects/aeeafec3a5b5710f/sqlite/claude-mem.db"],
    ["projects/aeeafec3a5b5710f/sqlite/manifest.json"],
    ["projects/aeeafec3a5b5710f/locks/active.lock"],
    ["projects/aeeafec3a5b5710f/leadership/lease.json"],
    ["claude-mem.db"],
    ["artifacts"],
  ])("never mix: a bucket that holds %s is refused, and nothing is put into it", async (foreign) => {
    const connection = s3.connection();
    await s3.client.makeBucket(connection.bucket);
    const ours = `artifacts/${crypto.randomUUID()}/${crypto.randomUUID()}`;
    const keys = foreign === "artifacts" ? [foreign] : [ours, foreign];
    for (const key of keys) await s3.client.putObject(connection.bucket, key, "x");
    const bucket = openBucket(connection);
    await expect(bucket.checkOwn()).rejects.toThrow(StartError);
    await expect(bucket.put(aKey(), anUpload(), SOON)).rejects.toThrow(
      `holds "${foreign.split("/")[0]}${foreign.includes("/") ? "/" : ""}", which is not BLOOM Runtime's. Set MINIO_ARTIFACT_BUCKET`,
    );
    expect(await s3.keys(connection.bucket)).toEqual(keys);
  });

  it("never mix: a bucket with a name of the other is refused, even when it is not there yet", async () => {
    const bucket = openBucket({ ...s3.connection(), bucket: "claude-memory" });
    await expect(bucket.checkOwn()).rejects.toThrow(StartError);
    await expect(bucket.put(aKey(), anUpload(), SOON)).rejects.toThrow("a name of claude-mem's buckets");
    expect(await s3.client.bucketExists("claude-memory")).toBe(false);
  });

  it("share no bucket, but one that holds artifacts already is ours", async () => {
    const connection = s3.connection();
    await complete(storeAt(connection).store);
    const bucket = openBucket(connection);
    await bucket.checkOwn();
    await bucket.put(aKey(), anUpload(), SOON);
    expect(await s3.keys(connection.bucket)).toHaveLength(2);
  });

  it("have keys below artifacts/ only", () => {
    const id = crypto.randomUUID();
    expect(artifactKey(id, id)).toBe(`artifacts/${id}/${id}`);
    for (const wrong of ["..", "../claude-mem.db", "", `${id}/..`]) expect(() => artifactKey(id, wrong)).toThrow();
    expect(keyIn("ours", `minio://ours/artifacts/${id}/${id}`)).toBe(`artifacts/${id}/${id}`);
    for (const wrong of [
      "minio://ours/claude-mem.db",
      "minio://ours/artifacts/../claude-mem.db",
      "minio://other/artifacts/x",
      "minio://ours/artifacts/",
      "https://ours/artifacts/x",
    ])
      expect(keyIn("ours", wrong)).toBeUndefined();
  });
});
