import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { complete } from "../support/output-storage.ts";

const { db } = await createTestDatabase();

describe("a requeue", () => {
  it("gives a failed task all its attempts again", async () => {
    const { task } = await aLeasedTask(db);
    await complete(db, task.id, { status: "error", output: null, error_message: "no CLI" });
    const again = await requeueTask(db, NOBODY, task.id);
    expect(again).toMatchObject({ status: "queued", attempts: 0, lease_id: null, worker_id: null });
  });

  it("is refused for a completed task, which stays as it is", async () => {
    const { task } = await aLeasedTask(db);
    await complete(db, task.id);
    const before = await getTask(db, task.id);
    await expect(requeueTask(db, NOBODY, task.id)).rejects.toThrow("Cannot requeue task with status 'completed'");
    expect(await getTask(db, task.id)).toEqual(before);
  });
});
