import { describe, expect, it } from "vitest";
import { getTask } from "../../src/queue/get-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask } from "../support/factories.ts";
import { complete } from "../support/output-storage.ts";

const { db, query, makeOverdue } = await createTestDatabase();

describe("a completion", () => {
  it("lands whole: task, lease, artifact, result and audit entry", async () => {
    const { task, lease, worker } = await aLeasedTask(db);
    const { artifact, result } = await complete(db, task.id, { output: "forty-two" });
    expect((await getTask(db, task.id)).status).toBe("completed");
    expect(await query("select status from leases where id = $1", [lease.id])).toEqual([{ status: "released" }]);
    expect(await query("select content, finalized from runtime_artifacts where id = $1", [artifact.id])).toEqual([
      { content: "forty-two", finalized: true },
    ]);
    expect(result).toMatchObject({ artifact_id: artifact.id, worker_id: worker.id, output: "forty-two" });
    const audit = await query("select actor from audit_logs where action = 'task_completed' and entity_id = $1", [
      task.id,
    ]);
    expect(audit).toEqual([{ actor: worker.id }]);
  });

  it("stores a large output once", async () => {
    const { task } = await aLeasedTask(db);
    const { result } = await complete(db, task.id, { output: "x".repeat(1_000_000) });
    expect(await query("select output from llm_results where id = $1", [result.id])).toEqual([{ output: null }]);
  });

  it("counts when the lease is overdue but not yet swept", async () => {
    const { task } = await aLeasedTask(db);
    await makeOverdue(task.id);
    await complete(db, task.id);
    expect((await getTask(db, task.id)).status).toBe("completed");
  });

  it("changes nothing when any part of it fails", async () => {
    const { task, lease } = await aLeasedTask(db);
    const before = await getTask(db, task.id);
    await query("alter table llm_results add constraint no_results check (false) not valid");
    try {
      await expect(complete(db, task.id)).rejects.toThrow("no_results");
    } finally {
      await query("alter table llm_results drop constraint no_results");
    }
    expect(await getTask(db, task.id)).toEqual(before);
    expect(await query("select status from leases where id = $1", [lease.id])).toEqual([{ status: "active" }]);
    expect(await query("select id from runtime_artifacts where task_id = $1", [task.id])).toEqual([]);
  });

  it("is refused for a task that nobody holds", async () => {
    const task = await aTask(db);
    await expect(complete(db, task.id)).rejects.toThrow("Task status is 'queued', expected 'leased' or 'running'");
  });
});
