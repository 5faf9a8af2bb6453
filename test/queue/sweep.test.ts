import { lte } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { nowMs } from "../../src/db/clock.ts";
import { leases } from "../../src/db/task-tables.ts";
import { inTransaction } from "../../src/db/transaction.ts";
import { expireLeases } from "../../src/queue/expire-leases.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { removeWorker } from "../../src/queue/remove-worker.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { actionsOf } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, leaseTo } from "../support/factories.ts";

const { db, query, makeOverdue } = await createTestDatabase();

describe("a sweep", () => {
  it("leaves leases alone that are not overdue", async () => {
    const { task } = await aLeasedTask(db);
    expect(await sweepOnce(db)).toEqual({ expired: 0, requeued: 0, dead: 0, cancelled: 0 });
    expect((await getTask(db, task.id)).status).toBe("leased");
  });

  it("puts an overdue task back in the queue while attempts remain", async () => {
    const { task, lease } = await aLeasedTask(db);
    await makeOverdue(task.id);
    expect(await sweepOnce(db)).toEqual({ expired: 1, requeued: 1, dead: 0, cancelled: 0 });
    expect(await getTask(db, task.id)).toMatchObject({
      status: "queued",
      attempts: 1,
      lease_id: null,
      worker_id: null,
    });
    expect(await actionsOf(query, task.id)).toEqual(["task_created", "task_requeued"]);
    expect(await actionsOf(query, lease.id)).toEqual(["task_leased", "lease_expired"]);
  });

  it("ends no lease that was renewed between the look for overdue ones and the task's lock", async () => {
    const { task } = await aLeasedTask(db);
    const overdue = lte(leases.expires_at, nowMs);
    // What a sweep does once it has the lock of a task that it took for overdue.
    const expired = await inTransaction(db, (tx) => expireLeases(tx, [task.id], overdue, "overdue"));
    expect(expired).toEqual({ expired: 0, requeued: 0, dead: 0, cancelled: 0 });
    expect((await getTask(db, task.id)).status).toBe("leased");
  });

  it("also takes a running task whose heartbeats stopped", async () => {
    const { task } = await aLeasedTask(db);
    await heartbeat(db, NOBODY, task.id);
    await makeOverdue(task.id);
    await sweepOnce(db);
    expect((await getTask(db, task.id)).status).toBe("queued");
  });

  it("makes a task dead after its third lost lease", async () => {
    const task = await aTask(db);
    for (let attempt = 1; attempt <= 3; attempt++) {
      expect((await getTask(db, task.id)).status).toBe("queued");
      const worker = await aWorker(db);
      await leaseTo(db, task.id, worker.id);
      await makeOverdue(task.id);
      await sweepOnce(db);
    }
    expect(await getTask(db, task.id)).toMatchObject({ status: "dead", attempts: 3 });
    expect((await actionsOf(query, task.id)).at(-1)).toBe("task_dead");
  });

  it("does each thing once when several run at the same time", async () => {
    await Promise.all(
      (await query<{ id: string }>("select id from workers")).map(({ id }) => removeWorker(db, NOBODY, id)),
    );
    const tasks = await Promise.all(Array.from({ length: 30 }, () => aLeasedTask(db)));
    await makeOverdue();
    const sweeps = await Promise.all(Array.from({ length: 5 }, () => sweepOnce(db)));
    expect(sweeps.reduce((sum, swept) => sum + swept.expired, 0)).toBe(tasks.length);
    for (const { task } of tasks) expect(await actionsOf(query, task.id)).toEqual(["task_created", "task_requeued"]);
  });
});
