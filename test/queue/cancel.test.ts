import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { cancelTask } from "../../src/queue/cancel.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { releaseTask } from "../../src/queue/release-task.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, leaseTo } from "../support/factories.ts";
import { actionsInHistory, history } from "../support/lists.ts";
import { complete } from "../support/output-storage.ts";

const { db, makeOverdue } = await createTestDatabase();

describe("a cancelled task", () => {
  it("that is queued ends at once, and nobody gets it any more", async () => {
    const task = await aTask(db);
    expect((await cancelTask(db, NOBODY, task.id, "not needed")).status).toBe("cancelled");
    expect(await history(db, task.id)).toMatchObject([
      { action: "task_created" },
      { action: "task_cancelled", actor: "api", detail: "Cancelled while queued: not needed" },
    ]);
    expect(await history(db, task.id.toUpperCase())).toHaveLength(2);
    const { id } = await aWorker(db);
    await expect(leaseTo(db, task.id, id)).rejects.toThrow("'cancelled'");
    await expect(requeueTask(db, NOBODY, task.id)).rejects.toThrow("'cancelled'");
  });

  it("that is held stays with its worker, who hears of it, and ends when it completes; the output is kept", async () => {
    const { task } = await aLeasedTask(db);
    expect((await heartbeat(db, NOBODY, task.id)).cancel).toBe(false);
    expect(await cancelTask(db, NOBODY, task.id, "")).toMatchObject({ status: "running", cancel_requested: true });
    expect((await heartbeat(db, NOBODY, task.id)).cancel).toBe(true);
    const { task: ended, artifact } = await complete(db, task.id, { output: "half of it" });
    expect([ended.status, artifact.content]).toEqual(["cancelled", "half of it"]);
    expect((await actionsInHistory(db, task.id)).slice(-3)).toEqual([
      "task_cancel_requested",
      "task_completed",
      "task_cancelled",
    ]);
  });

  it.each<[string, (id: string, lease: string) => Promise<unknown>]>([
    ["is released", (id, lease_id) => releaseTask(db, NOBODY, id, { lease_id, reason: "" })],
    ["expires", (id) => makeOverdue(id).then(() => sweepOnce(db))],
    ["fails", (id) => complete(db, id, { status: "error" })],
  ])("ends as cancelled also when its lease %s", async (_how, end) => {
    const { task, lease } = await aLeasedTask(db, { task: { retry: {} } });
    await cancelTask(db, NOBODY, task.id, "");
    await end(task.id, lease.id);
    expect((await getTask(db, task.id)).status).toBe("cancelled");
    expect((await actionsInHistory(db, task.id)).at(-1)).toBe("task_cancelled");
  });

  it("is cancelled once, and what has ended otherwise is not", async () => {
    const { task } = await aLeasedTask(db);
    await Promise.all([1, 2, 3].map(() => cancelTask(db, NOBODY, task.id, "")));
    expect((await actionsInHistory(db, task.id)).filter((action) => action === "task_cancel_requested")).toHaveLength(
      1,
    );
    const { task: done } = await aLeasedTask(db);
    await complete(db, done.id);
    await expect(cancelTask(db, NOBODY, done.id, "")).rejects.toThrow("Cannot cancel task with status 'completed'");
  });
});
