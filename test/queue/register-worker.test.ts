import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { removeWorker } from "../../src/queue/remove-worker.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, leaseTo } from "../support/factories.ts";

const { db, query, logged } = await createTestDatabase();
const restart = (name: string, boot_id?: string) => aWorker(db, { name, ...(boot_id && { boot_id }) });

describe("a worker that registers again", () => {
  it("under another boot_id has restarted: its leases end and its tasks are queued, or dead, at once", async () => {
    const { task, lease, worker } = await aLeasedTask(db, { worker: { boot_id: "first" } });
    const last = await aTask(db, { max_attempts: 1 });
    await leaseTo(db, last.id, worker.id);
    expect(await restart(worker.id, "second")).toMatchObject({ boot_id: "second", active_leases: 0 });
    expect(await getTask(db, task.id)).toMatchObject({ status: "queued", attempts: 1, lease_id: null });
    expect((await getTask(db, last.id)).status).toBe("dead");
    expect(await query("select action, detail from audit_logs where entity_id = $1", [lease.id])).toContainEqual({
      action: "lease_expired",
      detail: expect.stringContaining(`worker ${worker.id} has restarted, or another machine has taken its name`),
    });
  });

  it("under another boot_id soon after its last sign of life may be a second machine: the log warns", async () => {
    const { id } = await aWorker(db, { boot_id: "first" });
    await query("update workers set last_heartbeat = last_heartbeat - 4000 where id = $1", [id]);
    logged.length = 0;
    await restart(id, "first");
    await aWorker(db, { name: id, boot_id: "first", status: "offline" });
    await restart(id, "second");
    await query("update workers set last_heartbeat = last_heartbeat - 60000 where id = $1", [id]);
    await restart(id, "third");
    expect(logged).toEqual([]);
    await query("update workers set last_heartbeat = last_heartbeat - 4000 where id = $1", [id]);
    await restart(id, "fourth");
    const warning = `^worker ${id} registers anew, and was heard of \\d+ s ago: if it did not restart, another machine`;
    expect(logged).toEqual([expect.objectContaining({ msg: expect.stringMatching(warning) })]);
    logged.length = 0;
  });

  it.each([
    ["the same boot_id", "first", "first"],
    ["no boot_id", "first", undefined],
    ["its first boot_id", undefined, "first"],
  ])("under %s keeps its leases", async (_name, before, now) => {
    const { task, worker } = await aLeasedTask(db, { worker: before ? { boot_id: before } : {} });
    expect(await restart(worker.id, now)).toMatchObject({ boot_id: "first", active_leases: 1 });
    expect((await getTask(db, task.id)).status).toBe("leased");
  });

  it("or is removed while it is leased tasks: no lease of its earlier life stays active", async () => {
    for (let round = 0; round < 20; round++) {
      const { id } = await aWorker(db, { boot_id: "first", capabilities: { max_concurrency: 32 } });
      const tasks = await Promise.all(Array.from({ length: 8 }, () => aTask(db)));
      const leasing = tasks.map((task) => leaseTo(db, task.id, id));
      const [ending] = await Promise.allSettled([
        round % 2 === 0 ? removeWorker(db, NOBODY, id) : restart(id, "second"),
        ...leasing,
      ]);
      expect(ending.status).toBe("fulfilled");
      const orphans = await query(
        `select t.status, l.status as lease from llm_tasks t left join leases l on l.id = t.lease_id
         where t.id = any($1) and (t.status = 'leased') is distinct from (coalesce(l.status, '') = 'active')`,
        [tasks.map((task) => task.id)],
      );
      expect(orphans).toEqual([]);
      if (round % 2 === 0)
        expect(await query("select id from leases where worker_id = $1 and status = 'active'", [id])).toEqual([]);
    }
  });
});
