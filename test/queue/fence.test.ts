import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { releaseTask } from "../../src/queue/release-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { fencedCalls, STALE } from "../support/fenced-calls.ts";

const database = await createTestDatabase();
const { db } = database;
const { complete, stateOf, aTaskWithTwoHolders } = fencedCalls(database);

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
