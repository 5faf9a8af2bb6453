import { describe, expect, it } from "vitest";
import { createTaskBody } from "../../src/contract/create-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, leaseTo } from "../support/factories.ts";
import { actionsInHistory } from "../support/lists.ts";
import { complete } from "../support/output-storage.ts";

const { db, query } = await createTestDatabase();

describe("a task with retry", () => {
  const retry = { base_delay_sec: 10, max_delay_sec: 25, max_attempts: 4 };
  const due = (id: string) => query("update llm_tasks set retry_at = 1 where id = $1", [id]);

  it.each([
    ["doubles", {}, [10, 20, 25]],
    ["grows by as much each time", { backoff: "linear", base_delay_sec: 6 }, [6, 12, 18]],
  ])(
    "is made again after a delay that %s up to the most, and is dead after its last attempt",
    async (_how, more, expected) => {
      const { id } = await aTask(db, { retry: { ...retry, ...more } });
      const worker = await aWorker(db);
      const delays: number[] = [];
      for (let attempt = 1; attempt <= 4; attempt++) {
        await leaseTo(db, id, worker.id);
        const { task, result } = await complete(db, id, { status: "error", error_message: "no" });
        expect(task.status).toBe(attempt < 4 ? "queued" : "dead");
        if (attempt < 4) delays.push(((task.retry_at ?? 0) - result.completed_at) / 1_000);
        await due(id);
      }
      for (const [n, most] of expected.entries()) {
        expect(delays[n]).toBeGreaterThan(most * 0.79);
        expect(delays[n]).toBeLessThan(most * 1.02);
      }
      expect((await actionsInHistory(db, id)).at(-1)).toBe("task_dead");
    },
  );

  it("is not leased before it is due", async () => {
    const { task, worker } = await aLeasedTask(db, { task: { retry } });
    const { task: waiting } = await complete(db, task.id, { status: "error" });
    const lease = () => leaseTo(db, task.id, worker.id);
    await expect(lease()).rejects.toThrow(`Task is not due before ${waiting.retry_at}`);
    await due(task.id);
    expect((await lease()).lease.status).toBe("active");
  });

  it("has failed when the worker says that another attempt is no use, or without retry", async () => {
    const { task } = await aLeasedTask(db, { task: { retry } });
    expect((await complete(db, task.id, { status: "error", retryable: false })).task.status).toBe("failed");
    const { task: plain } = await aLeasedTask(db);
    expect((await complete(db, plain.id, { status: "error" })).task.status).toBe("failed");
  });

  it("takes its attempts from retry where both are given", () => {
    const task = { context_id: "c", agent_slug: "a", prompt: "p", max_attempts: 2 };
    expect(createTaskBody.parse({ ...task, retry: { max_attempts: 5 } })).toMatchObject({
      max_attempts: 5,
      retry: { base_delay_sec: 15, max_delay_sec: 300 },
    });
    expect(createTaskBody.parse({ ...task, retry: {} })).toMatchObject({ max_attempts: 2 });
  });
});
