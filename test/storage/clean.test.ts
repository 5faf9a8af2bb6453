import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { completeTask, requireCompletable } from "../../src/queue/complete.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { artifactKey } from "../../src/storage/artifact-key.ts";
import { cleanOnce } from "../../src/storage/clean-staged.ts";
import { stageUpload } from "../../src/storage/staging.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, completion } from "../support/factories.ts";
import { completed, inDatabase, storeAt } from "../support/output-storage.ts";
import { startS3 } from "../support/s3.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const s3 = await startS3();

describe("what no artifact came of", () => {
  const age = () => query("update runtime_staged_outputs set created_at = created_at - 25 * 3600000");
  const staged = () => query("select id from runtime_staged_outputs");

  it("is removed from the bucket, and nothing else is", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const { store } = storeAt(connection);
    const kept = await completed(db, store, "kept");
    const { task, lease } = await aLeasedTask(db);
    const held = await requireCompletable(db, task.id, lease.id);
    proxy.delay(100);
    const losing = completeTask(db, NOBODY, store, held.id, completion({ output: "lost", lease_id: lease.id }));
    await expect
      .poll(() => query("select 1 from runtime_staged_outputs where task_id = $1", [task.id]))
      .toHaveLength(1);
    await completeTask(db, NOBODY, inDatabase, held.id, completion({ output: "won", lease_id: lease.id }));
    await expect(losing).rejects.toThrow("was completed before with another body");
    expect(await s3.keys(connection.bucket)).toHaveLength(2);

    expect(await cleanOnce(db, store)).toBe(0);
    await age();
    expect(await cleanOnce(db, store)).toBe(1);
    expect(await s3.keys(connection.bucket)).toEqual([`artifacts/${kept.task.id}/${kept.artifact.id}`]);
    expect(await query("select * from runtime_staged_outputs")).toEqual([]);
  });

  it("stays while the store cannot be reached", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const { store, logged } = storeAt(connection);
    await query(
      `insert into runtime_staged_outputs (id, task_id, created_at, size_bytes, sha256, bucket)
       values (gen_random_uuid(), gen_random_uuid(), 0, 1, 'x', $1)`,
      [connection.bucket],
    );
    await proxy.refuse();
    expect(await cleanOnce(db, store)).toBe(0);
    expect(logged.join()).toContain("stay in the bucket for now");
    await proxy.accept();
    expect(await cleanOnce(db, store)).toBe(1);
  });

  it("stays where the bucket is another's, and goes where it is ours", async () => {
    const ours = s3.connection();
    const { task, lease } = await aLeasedTask(db);
    const held = await requireCompletable(db, task.id, lease.id);
    await completeTask(db, NOBODY, inDatabase, held.id, completion({ output: "won", lease_id: lease.id }));
    const store = storeAt(ours).store;
    // What a crash in the middle of a completion leaves.
    const id = crypto.randomUUID();
    await query(
      "insert into runtime_staged_outputs (id, task_id, created_at, size_bytes, sha256, bucket) values ($1, $2, 0, 1, 'x', $3)",
      [id, task.id, ours.bucket],
    );
    await store.bucket?.checkOwn();
    await s3.client.putObject(ours.bucket, `artifacts/${task.id}/${id}`, "x");
    for (const other of [inDatabase, storeAt(s3.connection()).store]) expect(await cleanOnce(db, other)).toBe(0);
    expect([await staged(), await s3.keys(ours.bucket)]).toEqual([[{ id }], [`artifacts/${task.id}/${id}`]]);
    expect(await cleanOnce(db, store)).toBe(1);
    expect([await staged(), await s3.keys(ours.bucket)]).toEqual([[], []]);
  });

  it("is found when its row went away while it was put", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const { store } = storeAt(connection);
    const { task, lease } = await aLeasedTask(db);
    const held = await requireCompletable(db, task.id, lease.id);
    await store.bucket?.checkOwn();
    proxy.delay(100);
    const losing = completeTask(db, NOBODY, store, held.id, completion({ output: "lost", lease_id: lease.id }));
    await expect.poll(staged).toHaveLength(1);
    await query("delete from runtime_staged_outputs");
    await expect(losing).rejects.toThrow("was cleaned away");
    expect(await s3.keys(connection.bucket)).toHaveLength(1);
    await age();
    expect(await cleanOnce(db, store)).toBe(0);
    await makeOverdue(task.id);
    await sweepOnce(db);
    expect(await cleanOnce(db, store)).toBe(1);
    expect([await staged(), await s3.keys(connection.bucket)]).toEqual([[], []]);
  });

  it("is never taken for what an artifact came of", async () => {
    const connection = s3.connection();
    const { store } = storeAt(connection);
    const { artifact } = await completed(db, store, "kept");
    await query("insert into runtime_staged_outputs (id, task_id, created_at, bucket) values ($1, $2, 0, $3)", [
      artifact.id,
      artifact.task_id,
      connection.bucket,
    ]);
    expect(await cleanOnce(db, store)).toBe(1);
    expect(await staged()).toEqual([]);
    expect(await s3.keys(connection.bucket)).toHaveLength(1);
  });

  it("counts as new from the moment when a completion puts it into the bucket", async () => {
    const { connection, proxy } = await s3.behindProxy();
    const { store } = storeAt(connection);
    const { task, lease } = await aLeasedTask(db);
    const { id } = await stageUpload(db, { taskId: task.id, leaseId: lease.id }, pieces("uploaded"), 100);
    await age();
    await makeOverdue(task.id);
    await sweepOnce(db);
    await store.bucket?.checkOwn();
    proxy.delay(100);
    const request = completion({ output: null, output_id: id, lease_id: lease.id });
    const completing = completeTask(db, NOBODY, store, task.id, request);
    await expect
      .poll(() => query("select 1 from runtime_staged_outputs where bucket = $1", [connection.bucket]))
      .toHaveLength(1);
    expect(await cleanOnce(db, store)).toBe(0);
    expect((await completing).artifact.url).toMatch(/^minio:/);
    expect(await staged()).toEqual([]);
  });

  it("is gone already where the bucket is", async () => {
    const connection = s3.connection();
    const { bucket } = storeAt(connection).store;
    await bucket?.checkOwn();
    await s3.drop(connection.bucket);
    await bucket?.remove(artifactKey(crypto.randomUUID(), crypto.randomUUID()));
    // It is made again at the next use.
    await bucket?.remove(artifactKey(crypto.randomUUID(), crypto.randomUUID()));
    expect(await s3.client.bucketExists(connection.bucket)).toBe(true);
  });
});

async function* pieces(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
