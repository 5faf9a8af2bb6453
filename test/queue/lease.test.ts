import { describe, expect, it } from "vitest";
import { getTask } from "../../src/queue/get-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, leaseTo } from "../support/factories.ts";

const { databaseTime, db, query } = await createTestDatabase();

describe("a lease", () => {
  it("takes its times from the database's clock, whatever the server's clock says", async () => {
    const realNow = Date.now;
    Date.now = () => realNow() + 600_000;
    try {
      const before = await databaseTime();
      const { lease } = await aLeasedTask(db);
      const after = await databaseTime();
      expect(lease.started_at).toBeGreaterThanOrEqual(before);
      expect(lease.started_at).toBeLessThanOrEqual(after);
      expect(lease.expires_at).toBe(lease.started_at + 300_000);
    } finally {
      Date.now = realNow;
    }
  });

  it.each([
    [60, 300],
    [270.5, 301],
    [3_600, 3_630],
  ])("of a task with a timeout_sec of %d lives %d s", async (timeout_sec, expected) => {
    const { lease } = await aLeasedTask(db, { task: { policy: { timeout_sec, budget: 0 } } });
    expect(lease.expires_at).toBe(lease.started_at + expected * 1_000);
  });

  it("is refused by the database when the task has an active one already", async () => {
    const { lease } = await aLeasedTask(db);
    const copy = query(
      `insert into leases select gen_random_uuid(), task_id, worker_id, started_at, expires_at, ttl_seconds, 'active', last_heartbeat
       from leases where id = $1`,
      [lease.id],
    );
    await expect(copy).rejects.toThrow("leases_one_active_per_task");
  });

  it("leaves nothing behind when its audit entry cannot be written", async () => {
    const [task, worker] = [await aTask(db), await aWorker(db)];
    await query("alter table audit_logs add constraint no_leases check (action <> 'task_leased') not valid");
    try {
      await expect(leaseTo(db, task.id, worker.id)).rejects.toThrow("no_leases");
    } finally {
      await query("alter table audit_logs drop constraint no_leases");
    }
    expect(await getTask(db, task.id)).toEqual(task);
    expect(await query("select * from leases where task_id = $1", [task.id])).toEqual([]);
  });

  it("for a named worker is granted beyond its capacity, and counts for the router", async () => {
    const worker = await aWorker(db, { capabilities: { max_concurrency: 1 } });
    const first = await leaseTo(db, (await aTask(db)).id, worker.id);
    const second = await leaseTo(db, (await aTask(db)).id, worker.id);
    expect([first.worker.active_leases, second.worker.active_leases]).toEqual([0, 1]);

    await query("update workers set status = 'offline' where id <> $1", [worker.id]);
    await expect(leaseTo(db, (await aTask(db)).id)).rejects.toThrow("No available worker with free capacity");
  });

  it.each(["leased", "running", "completed", "failed", "dead"])("is refused for a task that is %s", async (status) => {
    const { task } = await aLeasedTask(db);
    await query("update llm_tasks set status = $1 where id = $2", [status, task.id]);
    await expect(leaseTo(db, task.id)).rejects.toThrow(`Task status is '${status}', expected 'queued'`);
  });
});
