import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, completion } from "../support/factories.ts";
import { inDatabase } from "../support/output-storage.ts";

describe("the database", async () => {
  const { db, query } = await createTestDatabase();

  it("refuses to change or delete a finalized artifact and an audit entry", async () => {
    const { task } = await aLeasedTask(db);
    await completeTask(db, NOBODY, inDatabase, task.id, completion());
    for (const statement of [
      "update runtime_artifacts set content = 'forged'",
      "delete from runtime_artifacts",
      "update audit_logs set actor = 'nobody'",
      "delete from audit_logs",
    ])
      await expect(query(statement)).rejects.toThrow("rows are immutable");
  });

  it("refuses a second active lease of a task, a held task without a lease, a queued one with one, and unknown statuses", async () => {
    const { task, lease } = await aLeasedTask(db);
    await expect(
      query(
        "insert into leases select gen_random_uuid(), task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat from leases where id = $1",
        [lease.id],
      ),
    ).rejects.toThrow("leases_one_active_per_task");
    for (const change of ["lease_id = null", "status = 'queued'", "status = 'paused'", "status = 'completely'"])
      await expect(query(`update llm_tasks set ${change} where id = $1`, [task.id])).rejects.toThrow(
        "llm_tasks_is_possible",
      );
    await expect(query("update leases set status = 'lost' where id = $1", [lease.id])).rejects.toThrow(
      "leases_is_possible",
    );
  });
});
