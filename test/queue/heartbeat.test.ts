import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { TASK } from "../support/record-shapes.ts";

const { databaseTime, db, query, makeOverdue } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

describe("a heartbeat", () => {
  it("renews the lease to now and its own TTL, and sets the task running", async () => {
    const { task, lease } = await aLeasedTask(db, { ttl_seconds: 60 });
    const { lease: renewed } = await heartbeat(db, NOBODY, task.id);
    expect(renewed.expires_at).toBe(renewed.last_heartbeat + 60_000);
    expect(renewed.last_heartbeat).toBeGreaterThanOrEqual(lease.last_heartbeat);
    expect((await getTask(db, task.id)).status).toBe("running");
  });

  it("renews a lease that is overdue but not yet swept", async () => {
    const { task } = await aLeasedTask(db);
    await makeOverdue(task.id);
    const renewed = await heartbeat(db, NOBODY, task.id);
    expect(renewed.expires_at).toBeGreaterThan(await databaseTime());
  });

  it("leaves no trace when the lease is not active, not even a sign of life", async () => {
    const { task, worker, lease } = await aLeasedTask(db);
    await query("update leases set status = 'released' where id = $1", [lease.id]);
    await query("update workers set last_heartbeat = 1 where id = $1", [worker.id]);
    await expect(heartbeat(db, NOBODY, task.id)).rejects.toThrow("Lease not found or already expired");
    expect(await query("select last_heartbeat from workers where id = $1", [worker.id])).toEqual([
      { last_heartbeat: "1" },
    ]);
  });
});

describe("a heartbeat's progress", () => {
  it.each([
    [0.5, { value: 0.5, text: null }],
    ["reading", { value: null, text: "reading" }],
    [
      { value: 1, text: "done" },
      { value: 1, text: "done" },
    ],
  ])("%j is shown on the task", async (progress, shown) => {
    const { task } = await aLeasedTask(db);
    await api.post(`${TASKS}/${task.id}/heartbeat`).send({ progress });
    const { body } = await api.get(`${TASKS}/${task.id}`);
    expect(body).toEqual(TASK);
    expect(body.progress).toEqual(shown);
    await api.post(`${TASKS}/${task.id}/heartbeat`);
    expect((await api.get(`${TASKS}/${task.id}`)).body.progress).toEqual(shown);
  });

  it("that makes no sense is refused", async () => {
    const { task } = await aLeasedTask(db);
    for (const progress of [2, -1, { value: "x" }, "x".repeat(1_001)])
      expect((await api.post(`${TASKS}/${task.id}/heartbeat`).send({ progress })).status).toBe(400);
  });
});
