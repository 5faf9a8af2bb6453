import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { releaseTask } from "../../src/queue/release-task.ts";
import { entriesOf } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, leaseTo } from "../support/factories.ts";

const { db, query } = await createTestDatabase();

describe("a task handed back", () => {
  it("is queued at once with its attempt given back, and the lease is released", async () => {
    const { task, lease: held, worker } = await aLeasedTask(db);
    const back = await releaseTask(db, NOBODY, task.id, { lease_id: held.id, reason: "no disk left" });
    expect(back).toMatchObject({ status: "queued", attempts: 0, lease_id: null, worker_id: null });
    expect(await query("select status from leases where id = $1", [held.id])).toEqual([{ status: "released" }]);
    const detail = `Handed back unstarted, lease ${held.id}: no disk left`;
    expect(await entriesOf(query, task.id, "task_released")).toEqual([{ actor: worker.id, detail }]);
    expect((await leaseTo(db, task.id, worker.id)).lease.status).toBe("active");
    expect((await getTask(db, task.id)).attempts).toBe(1);
  });

  it("must be unstarted", async () => {
    const { task, lease } = await aLeasedTask(db);
    await heartbeat(db, NOBODY, task.id);
    const handingBack = releaseTask(db, NOBODY, task.id, { lease_id: lease.id, reason: "" });
    await expect(handingBack).rejects.toThrow("Task status is 'running', expected 'leased'");
    expect((await getTask(db, task.id)).status).toBe("running");
  });

  it("twice at the same moment gives one attempt back", async () => {
    const { task, lease } = await aLeasedTask(db);
    const both = [1, 2].map(() => releaseTask(db, NOBODY, task.id, { lease_id: lease.id, reason: "" }));
    const settled = await Promise.allSettled(both);
    expect(settled.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect((await getTask(db, task.id)).attempts).toBe(0);
  });
});
