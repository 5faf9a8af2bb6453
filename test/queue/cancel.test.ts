import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { createTaskBody } from "../../src/contract/create-task.ts";
import { cancelTask } from "../../src/queue/cancel.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { historyOf } from "../../src/queue/history.ts";
import { leaseTask } from "../../src/queue/lease-task.ts";
import { getTask } from "../../src/queue/one-task.ts";
import { releaseTask } from "../../src/queue/release.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { inDatabase } from "../support/artifact-stores.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, completion } from "../support/factories.ts";
import { listed } from "../support/lists.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const complete = async (id: string, fields = {}) => completeTask(db, NOBODY, inDatabase, id, completion(fields));
const history = async (id: string) => listed(db, historyOf(db, id));
const actionsOf = async (id: string) => (await history(id)).map(({ action }) => action);

describe("a cancelled task", () => {
  it("that is queued ends at once, and nobody gets it any more", async () => {
    const task = await aTask(db);
    expect((await cancelTask(db, NOBODY, task.id, "not needed")).status).toBe("cancelled");
    expect(await history(task.id)).toMatchObject([
      { action: "task_created" },
      { action: "task_cancelled", actor: "api", detail: "Cancelled while queued: not needed" },
    ]);
    expect(await history(task.id.toUpperCase())).toHaveLength(2);
    const { id } = await aWorker(db);
    await expect(leaseTask(db, NOBODY, task.id, { worker_id: id, ttl_seconds: undefined })).rejects.toThrow(
      "'cancelled'",
    );
    await expect(requeueTask(db, NOBODY, task.id)).rejects.toThrow("'cancelled'");
  });

  it("that is held stays with its worker, who hears of it, and ends when it completes; the output is kept", async () => {
    const { task } = await aLeasedTask(db);
    expect((await heartbeat(db, NOBODY, task.id)).cancel).toBe(false);
    expect(await cancelTask(db, NOBODY, task.id, "")).toMatchObject({ status: "running", cancel_requested: true });
    expect((await heartbeat(db, NOBODY, task.id)).cancel).toBe(true);
    const { task: ended, artifact } = await complete(task.id, { output: "half of it" });
    expect([ended.status, artifact.content]).toEqual(["cancelled", "half of it"]);
    expect((await actionsOf(task.id)).slice(-3)).toEqual(["task_cancel_requested", "task_completed", "task_cancelled"]);
  });

  it.each<[string, (id: string, lease: string) => Promise<unknown>]>([
    ["is released", (id, lease_id) => releaseTask(db, NOBODY, id, { lease_id, reason: "" })],
    ["expires", (id) => makeOverdue(id).then(() => sweepOnce(db))],
    ["fails", (id) => complete(id, { status: "error" })],
  ])("ends as cancelled also when its lease %s", async (_how, end) => {
    const { task, lease } = await aLeasedTask(db, { task: { retry: {} } });
    await cancelTask(db, NOBODY, task.id, "");
    await end(task.id, lease.id);
    expect((await getTask(db, task.id)).status).toBe("cancelled");
    expect((await actionsOf(task.id)).at(-1)).toBe("task_cancelled");
  });

  it("is cancelled once, and what has ended otherwise is not", async () => {
    const { task } = await aLeasedTask(db);
    await Promise.all([1, 2, 3].map(() => cancelTask(db, NOBODY, task.id, "")));
    expect((await actionsOf(task.id)).filter((action) => action === "task_cancel_requested")).toHaveLength(1);
    const { task: done } = await aLeasedTask(db);
    await complete(done.id);
    await expect(cancelTask(db, NOBODY, done.id, "")).rejects.toThrow("Cannot cancel task with status 'completed'");
  });
});

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
        await leaseTask(db, NOBODY, id, { worker_id: worker.id, ttl_seconds: undefined });
        const { task, result } = await complete(id, { status: "error", error_message: "no" });
        expect(task.status).toBe(attempt < 4 ? "queued" : "dead");
        if (attempt < 4) delays.push(((task.retry_at ?? 0) - result.completed_at) / 1_000);
        await due(id);
      }
      for (const [n, most] of expected.entries()) {
        expect(delays[n]).toBeGreaterThan(most * 0.79);
        expect(delays[n]).toBeLessThan(most * 1.02);
      }
      expect((await actionsOf(id)).at(-1)).toBe("task_dead");
    },
  );

  it("is not leased before it is due", async () => {
    const { task, worker } = await aLeasedTask(db, { task: { retry } });
    const { task: waiting } = await complete(task.id, { status: "error" });
    const lease = () => leaseTask(db, NOBODY, task.id, { worker_id: worker.id, ttl_seconds: undefined });
    await expect(lease()).rejects.toThrow(`Task is not due before ${waiting.retry_at}`);
    await due(task.id);
    expect((await lease()).lease.status).toBe("active");
  });

  it("has failed when the worker says that another attempt is no use, or without retry", async () => {
    const { task } = await aLeasedTask(db, { task: { retry } });
    expect((await complete(task.id, { status: "error", retryable: false })).task.status).toBe("failed");
    const { task: plain } = await aLeasedTask(db);
    expect((await complete(plain.id, { status: "error" })).task.status).toBe("failed");
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
