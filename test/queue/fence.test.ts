import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { completeTask, requireCompletable } from "../../src/queue/complete.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { leaseTask } from "../../src/queue/lease-task.ts";
import { getTask } from "../../src/queue/one-task.ts";
import { releaseTask } from "../../src/queue/release.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { inDatabase } from "../support/artifact-stores.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aWorker, completion } from "../support/factories.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const STALE = /^Lease .* does not hold this task/;

async function complete(taskId: string, lease_id?: string, fields = {}) {
  const task = await requireCompletable(db, taskId, lease_id);
  return completeTask(db, NOBODY, inDatabase, task.id, completion({ ...fields, lease_id }));
}

const lease = (taskId: string, worker_id: string) =>
  leaseTask(db, NOBODY, taskId, { worker_id, ttl_seconds: undefined });

/** Everything that a refused call must leave as it was. */
const stateOf = (taskId: string) =>
  query(
    `select t.*, (select jsonb_agg(l order by id) from leases l where task_id = t.id) as leases,
       (select count(*) from runtime_artifacts where task_id = t.id) as artifacts,
       (select count(*) from llm_results where task_id = t.id) as results,
       (select count(*) from audit_logs where entity_id = t.id::text) as entries
     from llm_tasks t where t.id = $1`,
    [taskId],
  );

const auditOf = (taskId: string, action: string) =>
  query("select actor, detail from audit_logs where entity_id = $1 and action = $2", [taskId, action]);

/** A task whose first lease was swept and that another worker holds now. */
async function aTaskWithTwoHolders() {
  const first = await aLeasedTask(db);
  await makeOverdue(first.task.id);
  await sweepOnce(db);
  const other = await aWorker(db);
  return { ...first, other, now: (await lease(first.task.id, other.id)).lease };
}

describe("a fence", () => {
  it("lets the holder through, in any case of its letters", async () => {
    const { task, lease } = await aLeasedTask(db);
    expect((await heartbeat(db, NOBODY, task.id, { lease_id: lease.id })).lease.id).toBe(lease.id);
    const { result } = await complete(task.id, lease.id);
    expect(result).toMatchObject({ lease_id: lease.id, accepted: true });
  });

  it("stops whoever holds the task no longer, and changes nothing about it", async () => {
    const { task, lease } = await aTaskWithTwoHolders();
    const before = await stateOf(task.id);
    for (const stale of [lease.id, randomUUID(), "no-uuid"]) {
      await expect(heartbeat(db, NOBODY, task.id, { lease_id: stale })).rejects.toThrow(STALE);
      await expect(releaseTask(db, NOBODY, task.id, { lease_id: stale, reason: "" })).rejects.toThrow(STALE);
      await expect(complete(task.id, stale, { status: "error" })).rejects.toThrow(STALE);
    }
    await expect(complete(task.id, randomUUID())).rejects.toThrow(STALE);
    expect(await stateOf(task.id)).toEqual(before);
  });

  it("of another task is stale here", async () => {
    const [{ task }, { lease }] = [await aLeasedTask(db), await aLeasedTask(db)];
    await expect(heartbeat(db, NOBODY, task.id, { lease_id: lease.id })).rejects.toThrow(STALE);
    await expect(complete(task.id, lease.id)).rejects.toThrow(STALE);
  });

  it("of a completed task keeps nothing alive", async () => {
    const { task, lease } = await aLeasedTask(db);
    await complete(task.id);
    await expect(heartbeat(db, NOBODY, task.id, { lease_id: lease.id })).rejects.toThrow(STALE);
  });
});

describe("the same completion again", () => {
  it("gives the same artifact and result, and adds nothing", async () => {
    const { task, lease } = await aLeasedTask(db);
    const first = await complete(task.id, lease.id);
    const before = await stateOf(task.id);
    expect(await complete(task.id, lease.id)).toEqual(first);
    expect(await stateOf(task.id)).toEqual(before);
  });

  it("at the same moment, ten times, is one completion", async () => {
    const { task, lease } = await aLeasedTask(db);
    const answers = await Promise.all(Array.from({ length: 10 }, () => complete(task.id, lease.id)));
    expect(new Set(answers.map(({ artifact }) => artifact.id)).size).toBe(1);
    expect(await stateOf(task.id)).toMatchObject([{ artifacts: "1", results: "1" }]);
  });

  it("still works when the task has gone on since", async () => {
    const { task, lease: first } = await aLeasedTask(db);
    const { result } = await complete(task.id, first.id, { status: "error" });
    await requeueTask(db, NOBODY, task.id);
    const again = await complete(task.id, first.id, { status: "error" });
    expect(again.result).toEqual(result);
    expect(again.task.status).toBe("queued");
  });

  it.each([
    ["output", { output: "another" }],
    ["status", { status: "error" }],
    ["tags", { artifact_tags: ["x"] }],
    ["metrics", { metrics: { duration_ms: 6 } }],
  ])("with another %s is refused, and the first result stands", async (_name, fields) => {
    const { task, lease } = await aLeasedTask(db);
    await complete(task.id, lease.id);
    const before = await stateOf(task.id);
    await expect(complete(task.id, lease.id, fields)).rejects.toThrow("was completed before with another body");
    expect(await stateOf(task.id)).toEqual(before);
  });
});

describe("a result that comes late", () => {
  it("is adopted while the task is still queued", async () => {
    const { task, lease, worker } = await aLeasedTask(db);
    await makeOverdue(task.id);
    await sweepOnce(db);
    const first = await complete(task.id, lease.id, { output: "worth its money" });
    expect(first.task).toMatchObject({ status: "completed", worker_id: worker.id, lease_id: lease.id, attempts: 1 });
    expect(first.result.accepted).toBe(true);
    expect(await auditOf(task.id, "task_completed")).toEqual([
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
    expect(await auditOf(task.id, "late_result_kept")).toHaveLength(1);

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
