import { lte } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { nowMs } from "../../src/db/clock.ts";
import { leases } from "../../src/db/task-tables.ts";
import { inTransaction } from "../../src/db/transaction.ts";
import { expireLeases } from "../../src/queue/expire-leases.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { leaseTask } from "../../src/queue/lease-task.ts";
import { getTask } from "../../src/queue/one-task.ts";
import { removeWorker } from "../../src/queue/remove-worker.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { tellStall } from "../../src/queue/tell-stall.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";

const { db, query, makeOverdue } = await createTestDatabase();

const auditOf = async (id: string) =>
  (
    await query<{ action: string }>("select action from audit_logs where entity_id = $1 order by timestamp, id", [id])
  ).map((entry) => entry.action);

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
    expect(await auditOf(task.id)).toEqual(["task_created", "task_requeued"]);
    expect(await auditOf(lease.id)).toEqual(["task_leased", "lease_expired"]);
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
      await leaseTask(db, NOBODY, task.id, { worker_id: worker.id, ttl_seconds: undefined });
      await makeOverdue(task.id);
      await sweepOnce(db);
    }
    expect(await getTask(db, task.id)).toMatchObject({ status: "dead", attempts: 3 });
    expect((await auditOf(task.id)).at(-1)).toBe("task_dead");
  });

  it("does each thing once when several run at the same time", async () => {
    await Promise.all(
      (await query<{ id: string }>("select id from workers")).map(({ id }) => removeWorker(db, NOBODY, id)),
    );
    const tasks = await Promise.all(Array.from({ length: 30 }, () => aLeasedTask(db)));
    await makeOverdue();
    const sweeps = await Promise.all(Array.from({ length: 5 }, () => sweepOnce(db)));
    expect(sweeps.reduce((sum, swept) => sum + swept.expired, 0)).toBe(tasks.length);
    for (const { task } of tasks) expect(await auditOf(task.id)).toEqual(["task_created", "task_requeued"]);
  });
});

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
      const leasing = tasks.map((task) =>
        leaseTask(db, NOBODY, task.id, { worker_id: worker.id, ttl_seconds: undefined }),
      );
      await Promise.allSettled([...leasing, removeWorker(db, NOBODY, worker.id)]);
      expect(await query("select id from leases where status = 'active' and worker_id = $1", [worker.id])).toEqual([]);
      for (const task of tasks) expect((await getTask(db, task.id)).status).toBe("queued");
    }
  });
});

describe("a stall", () => {
  const stalls = () =>
    query<{ entity_id: string }>("select entity_id from audit_logs where action = 'queue_stalled' order by seq");

  it("is told once, when the same task has been the oldest that is due for long", async () => {
    await query("truncate llm_tasks, leases");
    const first = await aTask(db);
    await aTask(db);
    expect(await tellStall(db, 60)).toBe(0);
    // The oldest has been that for long, but another one may have been before it.
    await query("update llm_tasks set updated_at = updated_at - 3600000");
    expect(await tellStall(db, 60)).toBe(0);
    await query("update runtime_queue_head set since = since - 3600000");
    expect(await tellStall(db, 0)).toBe(0);
    expect(await Promise.all([tellStall(db, 60), tellStall(db, 60)])).toContain(1);
    expect(await tellStall(db, 60)).toBe(0);
    expect(await stalls()).toEqual([{ entity_id: first.id }]);
    // A task that nobody may take, since its key is held, is not the oldest.
    await query("update llm_tasks set status = 'cancelled' where id = $1", [first.id]);
    await aLeasedTask(db, { task: { concurrency_key: "k" } });
    const waiting = await aTask(db, { concurrency_key: "k" });
    await query("update llm_tasks set updated_at = 1 where id = $1", [waiting.id]);
    await tellStall(db, 60);
    const [head] = await query<{ task_id: string; is_told: boolean }>(
      "select task_id, is_told from runtime_queue_head",
    );
    expect(head).toMatchObject({ is_told: false });
    expect([first.id, waiting.id]).not.toContain(head?.task_id);
  });
});
