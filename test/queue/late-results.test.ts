import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { entriesOf } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { fencedCalls, STALE } from "../support/fenced-calls.ts";

const database = await createTestDatabase();
const { db, query, makeOverdue } = database;
const { complete, stateOf, aTaskWithTwoHolders } = fencedCalls(database);

describe("a result that comes late", () => {
  it("is adopted while the task is still queued", async () => {
    const { task, lease, worker } = await aLeasedTask(db);
    await makeOverdue(task.id);
    await sweepOnce(db);
    const first = await complete(task.id, lease.id, { output: "worth its money" });
    expect(first.task).toMatchObject({ status: "completed", worker_id: worker.id, lease_id: lease.id, attempts: 1 });
    expect(first.result.accepted).toBe(true);
    expect(await entriesOf(query, task.id, "task_completed")).toEqual([
      { actor: worker.id, detail: expect.stringContaining(`after lease ${lease.id} had ended`) },
    ]);
    expect(await complete(task.id, lease.id, { output: "worth its money" })).toEqual(first);
  });

  it("is kept as an extra artifact, once, when another holds the task, whose own result counts", async () => {
    const { task, lease, other, now } = await aTaskWithTwoHolders();
    const before = await getTask(db, task.id);
    for (let time = 1; time <= 2; time++)
      await expect(complete(task.id, lease.id, { output: "late" })).rejects.toThrow(/is kept as artifact/);
    expect(await getTask(db, task.id)).toEqual(before);
    expect(await entriesOf(query, task.id, "late_result_kept")).toHaveLength(1);

    const { task: completed } = await complete(task.id, now.id, { output: "in time" });
    expect(completed).toMatchObject({ status: "completed", worker_id: other.id, lease_id: now.id });
    const kept = await query(
      `select a.content, a.finalized, r.accepted from llm_results r join runtime_artifacts a on a.id = r.artifact_id
       where r.task_id = $1 order by accepted`,
      [task.id],
    );
    expect(kept).toEqual([
      { content: "late", finalized: true, accepted: false },
      { content: "in time", finalized: true, accepted: true },
    ]);
  });

  it("never overwrites an accepted result, nor wakes a dead task", async () => {
    const { task, lease, now } = await aTaskWithTwoHolders();
    await complete(task.id, now.id);
    await expect(complete(task.id, lease.id)).rejects.toThrow(/is kept as artifact/);
    expect((await getTask(db, task.id)).lease_id).toBe(now.id);

    const { task: lost, lease: last } = await aLeasedTask(db, { task: { max_attempts: 1 } });
    await makeOverdue(lost.id);
    await sweepOnce(db);
    await expect(complete(lost.id, last.id)).rejects.toThrow(/is kept as artifact/);
    expect((await getTask(db, lost.id)).status).toBe("dead");
  });

  it("and is an error, is nothing to keep", async () => {
    const { task, lease } = await aLeasedTask(db);
    await makeOverdue(task.id);
    await sweepOnce(db);
    const before = await stateOf(task.id);
    await expect(complete(task.id, lease.id, { status: "error" })).rejects.toThrow(STALE);
    expect(await stateOf(task.id)).toEqual(before);
  });

  it("before the sweep is not late", async () => {
    const { task, lease } = await aLeasedTask(db);
    await makeOverdue(task.id);
    expect((await heartbeat(db, NOBODY, task.id, { lease_id: lease.id })).expires_at).toBeGreaterThan(Date.now());
    await makeOverdue(task.id);
    expect((await complete(task.id, lease.id)).task.status).toBe("completed");
  });
});
