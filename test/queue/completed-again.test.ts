import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { fencedCalls } from "../support/fenced-calls.ts";

const database = await createTestDatabase();
const { db } = database;
const { complete, stateOf } = fencedCalls(database);

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
