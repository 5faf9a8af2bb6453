import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { removeWorker } from "../../src/queue/remove-worker.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, leaseTo } from "../support/factories.ts";

const { db, query } = await createTestDatabase();

describe("removing a worker", () => {
  it("puts its tasks back in the queue at once", async () => {
    const { task, worker } = await aLeasedTask(db);
    await removeWorker(db, NOBODY, worker.id);
    expect(await getTask(db, task.id)).toMatchObject({ status: "queued", attempts: 1, lease_id: null });
    expect(await query("select id from workers where id = $1", [worker.id])).toEqual([]);
  });

  it("makes a task dead that has no attempt left", async () => {
    const { task, worker } = await aLeasedTask(db, { task: { max_attempts: 1 } });
    await removeWorker(db, NOBODY, worker.id);
    expect((await getTask(db, task.id)).status).toBe("dead");
  });

  it("never strands a task that is leased to it at the same moment", async () => {
    for (let round = 0; round < 20; round++) {
      const worker = await aWorker(db, { capabilities: { max_concurrency: 32 } });
      const tasks = await Promise.all(Array.from({ length: 8 }, () => aTask(db)));
      const leasing = tasks.map((task) => leaseTo(db, task.id, worker.id));
      await Promise.allSettled([...leasing, removeWorker(db, NOBODY, worker.id)]);
      expect(await query("select id from leases where status = 'active' and worker_id = $1", [worker.id])).toEqual([]);
      for (const task of tasks) expect((await getTask(db, task.id)).status).toBe("queued");
    }
  });
});
