import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ArtifactRow } from "../../src/db/row-types.ts";
import { moveOnce } from "../../src/storage/move-to-bucket.ts";
import { createTestDatabase } from "../support/database.ts";
import { completed, inDatabase, storeAt, uploaded } from "../support/output-storage.ts";
import { type Connection, startS3 } from "../support/s3.ts";
import { startS3Trouble } from "../support/s3-trouble.ts";
import { startProcess } from "../support/service-process.ts";

const { db, query, url: DATABASE_URL } = await createTestDatabase();
const s3 = await startS3();

const left = async () =>
  (await query<ArtifactRow>("select id from runtime_artifacts where url is null order by id")).map(({ id }) => id);

async function anOutput(): Promise<string> {
  return (await completed(db, inDatabase, "an output")).artifact.id;
}

async function outputs(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await anOutput());
  return ids;
}

async function moveTheRest(connection: Connection): Promise<void> {
  const { store } = storeAt(connection);
  while ((await moveOnce(db, store)) > 0);
  expect(await left()).toEqual([]);
}

async function inTrouble() {
  const connection = s3.connection();
  const trouble = await startS3Trouble(connection.port);
  return { connection, trouble, ...storeAt({ ...connection, port: trouble.port }) };
}

const TOO_LARGE = { status: 413, code: "EntityTooLarge" };

describe("outputs that the store does not take", () => {
  it("keep none of the others from it, and no completion", async () => {
    const { connection, trouble, store } = await inTrouble();
    const refused = [await anOutput(), ...(await outputs(2)), await anOutput()];
    const others = await outputs(5);
    trouble.refuseUploads(TOO_LARGE, refused);
    // Three in a row end the first pass; the next goes on behind them.
    expect(await moveOnce(db, store)).toBe(0);
    expect(await moveOnce(db, store)).toBe(others.length);
    for (let n = 0; n < 4; n++) await moveOnce(db, store);
    expect(await left()).toEqual(refused);
    expect((await completed(db, store, "now")).artifact.url).toMatch(/^minio:/);
    trouble.refuseUploads(undefined);
    await moveTheRest(connection);
  });

  it("end the pass when three of them follow each other", async () => {
    const { connection, trouble, store } = await inTrouble();
    await outputs(6);
    trouble.refuseUploads({ status: 507, code: "XMinioStorageFull" });
    expect(await moveOnce(db, store)).toBe(0);
    expect(trouble.refused()).toBe(3);
    trouble.refuseUploads(undefined);
    await moveTheRest(connection);
  });

  it("are not tried while the store is left alone", async () => {
    const { connection, trouble, store, logged } = await inTrouble();
    await outputs(2);
    trouble.refuseUploads({ status: 507, code: "XMinioStorageFull" });
    for (let n = 0; n < 5; n++) await completed(db, store, "an output");
    const refused = trouble.refused();
    expect(await moveOnce(db, store)).toBe(0);
    expect(trouble.refused()).toBe(refused);
    expect(logged.at(-1)).toContain("it failed too often lately");
    await moveTheRest(connection);
  });
});

describe("outputs that cannot be read from PostgreSQL", () => {
  it("are no fault of the store", async () => {
    const connection = s3.connection();
    const { store, logged } = storeAt(connection);
    for (let n = 0; n < 6; n++) await uploaded(db, inDatabase, Buffer.alloc(1_000));
    await query("alter table runtime_output_chunks rename to out_of_reach");
    for (let n = 0; n < 3; n++) expect(await moveOnce(db, store)).toBe(0);
    await query("alter table out_of_reach rename to runtime_output_chunks");
    expect(logged[0]).toContain("could not be read");
    expect((await completed(db, store, "now")).artifact.url).toMatch(/^minio:/);
    await moveTheRest(connection);
  });

  it("are not moved when they are not what was stored", async () => {
    const connection = s3.connection();
    const { store, logged } = storeAt(connection);
    const { artifact } = await uploaded(db, inDatabase, randomBytes(1_000));
    const change = (to: string) =>
      query(`alter table runtime_output_chunks disable trigger user;
        update runtime_output_chunks set data = ${to} where output_id = '${artifact.id}';
        alter table runtime_output_chunks enable trigger user`);
    await change("set_byte(data, 999, (get_byte(data, 999) + 1) % 256)");
    expect(await moveOnce(db, store)).toBe(0);
    expect(logged[0]).toContain("1000 bytes with SHA-256");
    expect(await s3.keys(connection.bucket)).toEqual([]);
    await change("set_byte(data, 999, (get_byte(data, 999) + 255) % 256)");
    expect(await moveOnce(db, store)).toBe(1);
  });
});

describe("a stop", () => {
  it("ends a pass, and the upload that is in flight", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const { store, logged } = storeAt(connection);
    const ids = await outputs(2);
    await store.bucket?.checkOwn();
    proxy.freeze();
    const stopping = new AbortController();
    const pass = moveOnce(db, store, stopping.signal);
    stopping.abort();
    expect(await pass).toBe(0);
    expect(await moveOnce(db, store, stopping.signal)).toBe(0);
    expect([await left(), logged]).toEqual([ids, []]);
    proxy.thaw();
    await moveTheRest(connection);
  });

  it("of the service does not wait for the store", async () => {
    const { connection, proxy } = await s3.behindProxy();
    await uploaded(db, inDatabase, randomBytes(2_000_000));
    await s3.client.makeBucket(connection.bucket);
    proxy.throttle(20_000);
    const service = await startProcess({
      DATABASE_URL,
      ...s3.env(connection),
      SETTINGS_KEY: "a key for the tests alone",
    });
    // Far more than the look at the bucket takes: the upload is under way.
    await expect.poll(proxy.bytesPassed, { timeout: 30_000 }).toBeGreaterThan(10_000);
    const asked = Date.now();
    expect(await service.stop()).toBe(0);
    expect(Date.now() - asked).toBeLessThan(5_000);
    proxy.throttle(0);
    await moveTheRest(connection);
  });
});
