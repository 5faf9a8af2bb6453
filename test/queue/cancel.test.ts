import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
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

const { db, makeOverdue } = await createTestDatabase();
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
